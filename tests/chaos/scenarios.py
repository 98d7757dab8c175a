"""What is broken, how, and what is promised meanwhile: the faults by their names in the guarantees."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from tests.chaos.faults import SERVICES, Faults
from tests.chaos.load import Load
from tests.chaos.platform import CarrierMode

# The published bound on duplicates, fixed before the run: what a dispatcher may hold claimed. Smaller than the default,
# so that it means something with the few messages of a scenario.
WINDOW = "DISPATCHER_SMS_WINDOW_TOTAL"
SETTINGS: Mapping[str, str] = {WINDOW: "1000"}
DISPATCHER = "dispatcher-sms"
DOWN = 20.0  # seconds
PROMISED_ANSWER = 3.0


@dataclass(frozen=True)
class Scenario:
    """`fault` breaks and mends. `spared` is whether nothing but what was broken may have been started again by then,
    `answers` whether every request is answered within three seconds. The bound on duplicates is `per_kill` for each
    kill -9 of a dispatcher."""

    name: str
    what: str
    fault: Callable[[Faults], Awaitable[None]]
    carrier: CarrierMode = field(default_factory=CarrierMode)
    load: Load = field(default_factory=Load)
    spared: bool = False
    answers: bool = False
    per_kill: int = int(SETTINGS[WINDOW])
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)

    def bound(self, hits: Mapping[str, int]) -> int:
        """How many duplicates are allowed after so many signals to each process."""
        return self.per_kill * hits.get(DISPATCHER, 0)


async def kill_services(faults: Faults) -> None:
    await faults.kill_in_turn(SERVICES, rounds=2, pause=(3.0, 5.0))


async def kill_two(faults: Faults) -> None:
    await faults.kill_in_turn((DISPATCHER, faults.random.choice(("ingest", "audience"))), rounds=1, pause=(2.0, 3.0))


async def restart_services(faults: Faults) -> None:
    for _ in range(2):
        await faults.restart_in_turn(SERVICES)


async def kafka_down(faults: Faults) -> None:
    await faults.hold_down("kafka", DOWN)


async def kafka_frozen(faults: Faults) -> None:
    await faults.freeze("kafka", DOWN)


async def kill_postgres(faults: Faults) -> None:
    """First the postmaster alone, then all of it."""
    for tree in (False, True):
        pid = faults.send("postgres", signal.SIGKILL, tree=tree)
        await faults.another("postgres", pid)
        await faults.ready()
        await asyncio.sleep(8.0)


# The bulk lane is busy most of the time and the carrier slow, so that the dispatcher dies with claimed rows.
_BUSY = Load(per_second=20.0, bulk_every=1.5, bulk_size=1000, most_messages=60_000)
_F1 = Scenario(
    "F1", "kill -9 of each service in turn, twice", kill_services, carrier=CarrierMode(delay=0.4), load=_BUSY
)
# While Kafka is away every call that was begun asks again and again.
_CALM = Load(per_second=10.0, bulk_every=5.0, bulk_size=500, most_messages=10_000)

SCENARIOS = (
    _F1,
    replace(
        _F1,
        name="F1-keys",
        what=f"{_F1.what}; the carrier honours keys",
        carrier=CarrierMode(honour_keys=True, delay=0.4),
        per_kill=0,
    ),
    Scenario(
        "F2",
        "SIGTERM to each service in turn, twice, under load",
        restart_services,
        carrier=CarrierMode(delay=0.5),
        per_kill=0,
    ),
    Scenario("F4", f"kill -9 Kafka, held down {DOWN:g} s", kafka_down, load=_CALM, spared=True, answers=True),
    Scenario("F5", f"SIGSTOP Kafka for {DOWN:g} s", kafka_frozen, load=_CALM, spared=True, answers=True),
    Scenario("F7", "kill -9 Postgres: the postmaster alone, then all", kill_postgres, spared=True, answers=True),
)
SHORT = Scenario(
    "short",
    "kill -9 of the dispatcher and one other service",
    kill_two,
    load=Load(per_second=40.0, bulk_every=1.0, bulk_size=300, most_messages=2000),
)
