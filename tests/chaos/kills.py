"""Processes of the platform killed, stopped, frozen and kept away."""

import asyncio
import signal

from tests.chaos.scenario import DISPATCHER
from tests.chaos.scene import Scene

DOWN = 20.0  # seconds
# The shortest that a dispatcher takes: two requests' time and a second.
LEASE = 31.0
FROZEN = 2 * LEASE


async def kill_services(scene: Scene) -> None:
    await scene.faults.kill_in_turn(scene.faults.services, rounds=2, pause=(3.0, 5.0))


async def kill_two(scene: Scene) -> None:
    other = scene.faults.random.choice(("ingest", "audience"))
    await scene.faults.kill_in_turn((DISPATCHER, other), rounds=1, pause=(2.0, 3.0))


async def restart_services(scene: Scene) -> None:
    for _ in range(2):
        await scene.faults.restart_in_turn(scene.faults.services)


async def kafka_down(scene: Scene) -> None:
    await scene.faults.hold_down("kafka", DOWN)


async def kafka_frozen(scene: Scene) -> None:
    await scene.faults.freeze("kafka", DOWN)


async def kill_postgres(scene: Scene) -> None:
    """First the postmaster alone, then all of it."""
    for tree in (False, True):
        pid = scene.faults.send("postgres", signal.SIGKILL, tree=tree)
        await scene.faults.another("postgres", pid)
        await scene.faults.ready()
        await asyncio.sleep(8.0)


async def freeze_dispatcher(scene: Scene) -> None:
    """The other one takes over what is not claimed, then what was; in the end the frozen one wakes up and knows
    nothing of it."""
    scene.faults.stop(DISPATCHER)
    await asyncio.sleep(FROZEN)
    scene.faults.thaw()
    scene.say(f"thawed {DISPATCHER}")
