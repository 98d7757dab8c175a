"""F16: cancel, pause and resume at any moment, also the wrong ones."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from libs.contracts.commands import ControlAction, ControlNotification
from libs.contracts.ids import NotificationId
from libs.contracts.routing import Lane
from libs.contracts.topics import CONTROL_NOTIFICATION
from tests.chaos.carriers import CarrierMode
from tests.chaos.figures import Figures
from tests.chaos.load import Load, Planned
from tests.chaos.poisonous import Producing
from tests.chaos.scenario import Scenario
from tests.chaos.scene import Scene

SIZE = 8000
# What is claimed when a moment comes cannot be stopped any more: little, so that something is left at 90 %.
CLAIMED = 200
SHARES = (0.1, 0.5, 0.9)
PAUSED = 3.0  # seconds
TAKES_EFFECT = 1.0
AT_ONCE = 20
SMALL = 200
WITHIN = 60.0
KAFKA_DOWN = 5.0
STRANGER = "stranger"
UNDER_WAY = ("queued", "sending", "retrying")


async def control_everything(scene: Scene) -> None:
    """One after the other, so that each has the carrier to itself."""
    for share in SHARES:
        await _cancel_at(scene, share)
    await _pause_at(scene, SHARES)
    await _cancel_at_once(scene)
    await _cancel_before_acceptance(scene)
    await _cancel_as_stranger(scene)
    await _cancel_without_kafka(scene)


async def _sent(scene: Scene, size: int = SIZE) -> tuple[Planned, str]:
    call = scene.client.another(size)
    notification = await scene.client.carry_through(call)
    if notification is None:
        raise TimeoutError(f"a call to {size} was not accepted")
    return call, notification


async def _cancel_at(scene: Scene, share: float) -> None:
    call, notification = await _sent(scene)
    await until_arrived(scene, call, share * SIZE)
    status = await scene.control(call, notification, "cancel")
    scene.expect(status == 202, f"cancel at {share:.0%} was answered {status}")
    answer = await settled(scene, notification)
    scene.say(f"cancelled at {share:.0%}: {answer.get('counts')}, {answer.get('control')}")
    stopped = answer.get("counts", {}).get("cancelled", 0)
    scene.expect(stopped > 0, f"cancel at {share:.0%} stopped nothing")
    scene.expect(answer.get("state") == "cancelled", f"cancelled at {share:.0%} it is {answer.get('state')}")


async def _pause_at(scene: Scene, shares: Sequence[float]) -> None:
    """One that is paused again and again, and gets through in the end."""
    call, notification = await _sent(scene)
    for share in shares:
        await until_arrived(scene, call, share * SIZE)
        status = await scene.control(call, notification, "pause")
        scene.expect(status == 202, f"pause at {share:.0%} was answered {status}")
        await asyncio.sleep(TAKES_EFFECT)
        before = scene.arrived(call)
        await asyncio.sleep(PAUSED)
        answer = await scene.follower.ask(notification) or {}
        more = scene.arrived(call) - before
        scene.say(f"paused at {share:.0%}: {answer.get('state')} after {before}, {more} more were sent")
        scene.expect(
            more <= CLAIMED, f"{more} left a notification paused at {share:.0%}, {CLAIMED} are claimed at most"
        )
        scene.expect(answer.get("state") == "paused", f"paused at {share:.0%} it is {answer.get('state')}")
        status = await scene.control(call, notification, "resume")
        scene.expect(status == 202, f"resume at {share:.0%} was answered {status}")


async def _cancel_at_once(scene: Scene) -> None:
    """A cancel on the heels of the call, with nothing to tell who is first."""

    async def send_and_cancel() -> None:
        call, notification = await _sent(scene, SMALL)
        await scene.control(call, notification, "cancel")

    async with asyncio.TaskGroup() as calls:
        for _ in range(AT_ONCE):
            calls.create_task(send_and_cancel())


async def _cancel_before_acceptance(scene: Scene) -> None:
    """It is known of a notification that it is cancelled before it is known what it is."""
    scene.faults.stop("ingest")
    call, notification = await _sent(scene, SMALL)
    status = await scene.control(call, notification, "cancel")
    scene.expect(status == 202, f"cancel before acceptance was answered {status}")
    await asyncio.sleep(PAUSED)
    scene.faults.thaw()
    scene.say("thawed ingest")
    answer = await settled(scene, notification)
    sent = begun(answer)
    scene.expect(sent == 0, f"{sent} left a notification that was cancelled before it was accepted")


async def _cancel_as_stranger(scene: Scene) -> None:
    """Another tenant's word about a notification means nothing: the checker misses what it stopped."""
    _, notification = await _sent(scene)
    command = ControlNotification(
        event_id=uuid4(),
        tenant=STRANGER,
        key=notification,
        occurred_at=datetime.now(UTC),
        notification_id=NotificationId(UUID(notification)),
        action=ControlAction.CANCEL,
    )
    async with Producing(scene.up.endpoints["kafka"]) as kafka:
        await kafka.send(CONTROL_NOTIFICATION[Lane.URGENT].name, command.model_dump_json().encode())
    scene.spoken_of.add(notification)
    scene.say(f"cancel of {SIZE} by another tenant")
    answer = await settled(scene, notification)
    scene.expect(not answer.get("counts", {}).get("cancelled"), "another tenant's cancel was carried out")


async def _cancel_without_kafka(scene: Scene) -> None:
    """What cannot be handed over is not promised, and does not happen later."""
    call, notification = await _sent(scene)
    await until_arrived(scene, call, SHARES[0] * SIZE)

    async def try_it() -> None:
        await asyncio.sleep(2.0)
        status = await scene.client.control(call, notification, "cancel")
        scene.say(f"cancel without Kafka: {status}")
        scene.expect(status == 503, f"cancel without Kafka was answered {status}, not 503")

    await asyncio.gather(scene.faults.hold_down("kafka", KAFKA_DOWN), try_it())
    await scene.faults.ready()
    answer = await settled(scene, notification)
    scene.expect(not answer.get("counts", {}).get("cancelled"), "a cancel that was refused was carried out")


async def until_arrived(scene: Scene, call: Planned, number: float, *, within: float = WITHIN) -> None:
    """Wait until so many of a call have arrived. Raises TimeoutError."""
    deadline = time.monotonic() + within
    while (arrived := scene.arrived(call)) < number:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{arrived} of {call.count} have arrived, not {number:.0f}")
        await asyncio.sleep(0.05)


async def settled(scene: Scene, notification: str, *, within: float = WITHIN) -> dict[str, Any]:
    """The status once nothing of it is under way. Raises TimeoutError."""
    deadline = time.monotonic() + within
    while True:
        answer = await scene.follower.ask(notification) or {}
        if answer.get("totals_known") and not any(answer.get("counts", {}).get(state) for state in UNDER_WAY):
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"{notification} is not settled: {answer}")
        await asyncio.sleep(0.1)


def begun(answer: dict[str, Any]) -> int:
    """How many left, as far as is told."""
    counts = answer.get("counts", {})
    return sum(number for state, number in counts.items() if state not in (*UNDER_WAY, "cancelled", "expired"))


def some_cancelled(figures: Figures) -> Sequence[str]:
    """Without a cancel nothing was shown."""
    return [] if figures.cancelled_calls else ["nothing was cancelled: this run proves nothing"]


F16 = Scenario(
    "F16",
    "cancel and pause at 10, 50 and 90 %, at once, before the acceptance, without Kafka",
    control_everything,
    carriers=[CarrierMode(delay=0.3)],
    load=Load(per_second=5.0, bulk_every=1000.0, most_messages=5_000),
    spared=True,
    per_hit=0,
    after_cancel=CLAIMED,
    # Two requests of a hundred at a time: slow enough that a moment can be met.
    settings={"DISPATCHER_SMS_WINDOW_TOTAL": str(CLAIMED), "DISPATCHER_SMS_CONCURRENCY_BULK": "2"},
    besides=some_cancelled,
)
