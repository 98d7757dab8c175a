"""Commands obeyed on real Postgres: before the acceptance, while it waits, after its release, and again."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from libs.bus import Effect
from libs.contracts.commands import ControlAction, ControlNotification, ExpandAudience
from libs.contracts.events import NotificationAccepted, NotificationControlled
from libs.contracts.ids import event_id
from libs.contracts.notification import Notification
from libs.contracts.states import Gate
from libs.storage import Database
from services.scheduler.handlers import SchedulerHandlers
from services.scheduler.repository import ControlRepository
from services.scheduler.telling import Teller
from tests.services.scheduler.making import (
    HOUR,
    LATE,
    TRACEPARENT,
    Recorder,
    accepted,
    control,
    controller,
    notification,
    now,
    ordered,
    received,
    releaser,
    states,
)

pytestmark = pytest.mark.postgres
PAUSE, RESUME, CANCEL, RESCHEDULE = ControlAction


class Scheduler:
    """Handlers on a database, and what they said."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.woken = 0
        self.handlers = SchedulerHandlers(controller(), self.wake)
        self.bus = Recorder()

    def wake(self) -> None:
        self.woken += 1

    async def accept(self, *events: NotificationAccepted) -> list[NotificationControlled]:
        async with self.database.transaction() as connection:
            effect = await self.handlers.on_notification_accepted(received(*events), connection)
        return self._said(effect)

    async def control(self, *commands: ControlNotification) -> list[NotificationControlled]:
        async with self.database.transaction() as connection:
            effect = await self.handlers.on_control_notification(ordered(*commands), connection)
        return self._said(effect)

    async def release(self, **rules: Any) -> list[ExpandAudience]:
        """One turn; what left."""
        bus = Recorder()
        await releaser(self.database, bus, **rules).turn()
        return [one.message for one in bus.outgoing if isinstance(one.message, ExpandAudience)]

    async def tell(self) -> list[NotificationControlled]:
        """What no record brings to Kafka."""
        bus = Recorder()
        await Teller(self.database, ControlRepository(), bus.publish, longest_pause=timedelta(seconds=1)).turn()
        return [one.message for one in bus.outgoing if isinstance(one.message, NotificationControlled)]

    @staticmethod
    def _said(effect: Effect) -> list[NotificationControlled]:
        if effect.committed:
            effect.committed()
        assert all(one.traceparent == TRACEPARENT for one in effect.publish)
        return [one.message for one in effect.publish if isinstance(one.message, NotificationControlled)]


@pytest.fixture
def scheduler(database: Database) -> Scheduler:
    return Scheduler(database)


def due() -> Notification:
    return notification(at=now() - LATE)


def ids(commands: Sequence[ExpandAudience]) -> list[Any]:
    return [one.notification.notification_id for one in commands]


async def test_what_is_paused_is_not_released_until_it_is_resumed(scheduler: Scheduler) -> None:
    one = due()
    await scheduler.accept(accepted(one))
    (said,) = await scheduler.control(control(one, PAUSE))
    assert (said.gate, said.revision, said.waits, said.at) == (Gate.PAUSED, 1, True, one.at)
    assert await scheduler.release() == []
    assert await states(scheduler.database) == {"stopped": 1}
    (said,) = await scheduler.control(control(one, RESUME))
    assert (said.gate, said.revision, said.waits) == (Gate.OPEN, 2, True)
    assert ids(await scheduler.release()) == [one.notification_id]
    assert scheduler.woken == 3


async def test_what_was_paused_over_its_start_is_not_missed(scheduler: Scheduler) -> None:
    one = notification(at=now() - 5 * HOUR)
    await scheduler.control(control(one, PAUSE))
    await scheduler.accept(accepted(one))
    await scheduler.control(control(one, RESUME))
    assert ids(await scheduler.release()) == [one.notification_id]


async def test_what_is_cancelled_never_leaves(scheduler: Scheduler) -> None:
    one = due()
    await scheduler.accept(accepted(one))
    (said,) = await scheduler.control(control(one, CANCEL))
    assert (said.gate, said.waits) == (Gate.CANCELLED, True)
    for action in (RESUME, PAUSE):
        (said,) = await scheduler.control(control(one, action))
        assert (said.gate, said.revision) == (Gate.CANCELLED, 1)
    await scheduler.accept(accepted(one))
    assert await scheduler.release() == []
    assert await states(scheduler.database) == {"cancelled": 1}


@pytest.mark.parametrize(
    ("action", "gate", "state"), [(PAUSE, Gate.PAUSED, "stopped"), (CANCEL, Gate.CANCELLED, "cancelled")]
)
async def test_a_command_that_overtakes_the_acceptance(
    scheduler: Scheduler, action: ControlAction, gate: Gate, state: str
) -> None:
    one, event = due(), accepted(due())
    event = accepted(one)
    (said,) = await scheduler.control(control(one, action))
    assert (said.gate, said.revision, said.waits, said.at) == (gate, 1, False, None)
    for _ in range(2):  # the second time it only says so again
        (said,) = await scheduler.accept(event)
        assert (said.gate, said.revision, said.waits, said.at) == (gate, 2, True, one.at)
        assert said.causation_id == event.event_id
    assert await states(scheduler.database) == {state: 1}
    assert await scheduler.release() == []


async def test_a_start_that_is_changed_before_the_acceptance_comes(scheduler: Scheduler) -> None:
    one, later = due(), now() + HOUR
    (said,) = await scheduler.control(control(one, RESCHEDULE, at=later, wall="2026-11-23T14:00:00", zone="Asia/Tokyo"))
    assert (said.gate, said.waits, said.at) == (Gate.OPEN, False, None)
    (said,) = await scheduler.accept(accepted(one))
    assert (said.gate, said.waits, said.at, said.zone) == (Gate.OPEN, True, later, "Asia/Tokyo")
    assert await scheduler.release() == []


async def test_what_was_never_controlled_is_not_announced(scheduler: Scheduler) -> None:
    assert await scheduler.accept(accepted()) == []
    assert await scheduler.tell() == []


async def test_a_notification_that_went_on_at_once_has_its_gate_all_the_same(scheduler: Scheduler) -> None:
    one = notification(at=None)
    await scheduler.accept(accepted(one, waits=False))
    said = [await scheduler.control(control(one, action)) for action in (PAUSE, RESUME, CANCEL)]
    assert [(event.gate, event.revision, event.waits) for (event,) in said] == [
        (Gate.PAUSED, 1, False),
        (Gate.OPEN, 2, False),
        (Gate.CANCELLED, 3, False),
    ]
    assert await states(scheduler.database) == {}


async def test_after_the_release_the_gate_is_the_others_business(scheduler: Scheduler) -> None:
    one = due()
    await scheduler.accept(accepted(one))
    await scheduler.release()
    (said,) = await scheduler.control(control(one, PAUSE))
    assert (said.gate, said.revision, said.waits, said.at) == (Gate.PAUSED, 1, False, None)
    (said,) = await scheduler.control(control(one, RESCHEDULE, at=now() + HOUR))
    assert (said.revision, said.waits) == (1, False)
    assert await states(scheduler.database) == {"fired": 1}


async def test_another_start_is_what_is_sent(scheduler: Scheduler) -> None:
    one, sooner = notification(at=now() + 5 * HOUR), now() - timedelta(seconds=1)
    await scheduler.accept(accepted(one))
    (said,) = await scheduler.control(control(one, RESCHEDULE, at=sooner, wall="2026-11-22T10:00:00", zone="UTC"))
    assert (said.waits, said.at, said.wall, said.zone) == (True, sooner, "2026-11-22T10:00:00", "UTC")
    (command,) = await scheduler.release()
    sent = command.notification
    assert (sent.at, sent.wall, sent.zone) == (sooner, "2026-11-22T10:00:00", "UTC")
    assert sent == one.model_copy(update={"at": sent.at, "wall": sent.wall, "zone": sent.zone})


async def test_with_the_zone_goes_the_release_of_the_database_it_was_found_with(scheduler: Scheduler) -> None:
    one, other = notification(zone="UTC", wall="2026-11-23T09:00:00"), notification()
    await scheduler.accept(accepted(one), accepted(other))
    await scheduler.control(control(other, RESCHEDULE, at=now() + HOUR, wall="2026-11-23T09:00:00", zone="UTC"))
    async with scheduler.database.connection() as connection:
        rows = await connection.fetch("SELECT wall, zone, tzdata FROM scheduler.waiting")
    assert {(row["wall"], row["zone"]) for row in rows} == {("2026-11-23T09:00:00", "UTC")}
    assert all(row["tzdata"] for row in rows)


async def test_a_command_that_comes_again_is_not_obeyed_again_but_answered(scheduler: Scheduler) -> None:
    one = due()
    await scheduler.accept(accepted(one))
    pause, resume = control(one, PAUSE), control(one, RESUME)
    first = await scheduler.control(pause, resume)
    again = await scheduler.control(pause, resume)
    assert [event.model_dump_json() for event in again] == [event.model_dump_json() for event in first]
    assert (first[0].gate, first[0].revision, first[0].causation_id) == (Gate.OPEN, 2, resume.event_id)
    (late,) = await scheduler.control(pause)
    assert late.revision == 2


async def test_commands_of_one_batch_are_obeyed_in_their_order(scheduler: Scheduler) -> None:
    one, other = due(), due()
    await scheduler.accept(accepted(one), accepted(other))
    said = await scheduler.control(
        control(one, PAUSE), control(other, CANCEL), control(one, RESUME), control(other, RESUME), control(one, CANCEL)
    )
    assert {event.notification_id: (event.gate, event.revision) for event in said} == {
        one.notification_id: (Gate.CANCELLED, 3),
        other.notification_id: (Gate.CANCELLED, 1),
    }


async def test_the_command_of_another_tenant_touches_nothing(scheduler: Scheduler) -> None:
    one = due()
    await scheduler.accept(accepted(one))
    (said,) = await scheduler.control(control(one, CANCEL, tenant="other"))
    assert (said.tenant, said.waits) == ("other", False)
    assert ids(await scheduler.release()) == [one.notification_id]


async def test_what_changes_nothing_is_not_announced(scheduler: Scheduler) -> None:
    assert await scheduler.control(control(due(), RESUME)) == []


async def test_a_missed_start_is_held_and_told(scheduler: Scheduler) -> None:
    one, other = notification(at=now() - 3 * HOUR), due()
    event = accepted(one)
    await scheduler.accept(event, accepted(other))
    assert ids(await scheduler.release()) == [other.notification_id]
    assert await states(scheduler.database) == {"stopped": 1, "fired": 1}
    (said,) = await scheduler.tell()
    assert (said.gate, said.reason, said.waits, said.at) == (Gate.HELD, "the start was missed by 3 h", True, one.at)
    assert said.causation_id == event.event_id
    assert said.event_id == event_id(one.notification_id, "notification.controlled", 1)
    assert await scheduler.tell() == []
    assert await scheduler.release() == []


async def test_what_was_missed_leaves_when_it_is_resumed(scheduler: Scheduler) -> None:
    one = notification(at=now() - 3 * HOUR)
    await scheduler.accept(accepted(one))
    await scheduler.release()
    (said,) = await scheduler.control(control(one, RESUME))
    assert (said.gate, said.revision, said.reason) == (Gate.OPEN, 2, "")
    (command,) = await scheduler.release()
    assert command.notification == one


async def test_what_was_missed_and_moved_waits_for_its_new_start(scheduler: Scheduler) -> None:
    one, later = notification(at=now() - 3 * HOUR), now() + HOUR
    await scheduler.accept(accepted(one))
    await scheduler.release()
    (said,) = await scheduler.control(control(one, RESCHEDULE, at=later))
    assert (said.gate, said.at, said.reason) == (Gate.OPEN, later, "")
    assert await scheduler.release() == []
    assert await states(scheduler.database) == {"waiting": 1}


async def test_what_was_missed_is_dropped_by_a_cancel(scheduler: Scheduler) -> None:
    one = notification(at=now() - 3 * HOUR)
    await scheduler.accept(accepted(one))
    await scheduler.release()
    (said,) = await scheduler.control(control(one, CANCEL))
    assert (said.gate, said.reason) == (Gate.CANCELLED, "")
    assert await scheduler.release() == []


async def test_more_missed_than_a_batch_holds(scheduler: Scheduler) -> None:
    await scheduler.accept(*(accepted(notification(at=now() - 3 * HOUR)) for _ in range(5)))
    bus = Recorder()
    one = releaser(scheduler.database, bus, batch=2)
    pauses = [await one.turn() for _ in range(4)]
    assert pauses[:3] == [0.0] * 3
    assert pauses[3] > 0
    assert await states(scheduler.database) == {"stopped": 5}
    assert len(await scheduler.tell()) == 5


async def test_what_kafka_did_not_take_is_told_again(scheduler: Scheduler) -> None:
    await scheduler.accept(accepted(notification(at=now() - 3 * HOUR)))
    await scheduler.release()
    failing = Recorder(failures=1)
    teller = Teller(scheduler.database, ControlRepository(), failing.publish, longest_pause=timedelta(seconds=1))
    with pytest.raises(Exception, match="no acknowledgement"):
        await teller.turn()
    assert await teller.turn() == 1.0
    assert len(failing.outgoing) == 1


async def test_what_changed_while_it_was_told_is_told_again(scheduler: Scheduler) -> None:
    one = notification(at=now() - 3 * HOUR)
    await scheduler.accept(accepted(one))
    await scheduler.release()
    controls = ControlRepository()
    async with scheduler.database.connection() as connection:
        stale = await controls.to_announce(connection, limit=10)
        await connection.execute("UPDATE scheduler.control SET revision = revision + 1")
    async with scheduler.database.transaction() as connection:
        await controls.announced(connection, stale)
    assert [event.revision for event in await scheduler.tell()] == [2]


async def test_a_command_and_an_acceptance_at_the_same_time_find_each_other(database: Database) -> None:
    """Whichever is first: what is cancelled never leaves, and everybody hears that it is held here."""
    schedulers = [Scheduler(database) for _ in range(4)]
    all_of_them = [due() for _ in range(40)]

    async def accept(one: Scheduler, whom: list[Notification]) -> None:
        for each in whom:
            await one.accept(accepted(each))

    async def cancel(one: Scheduler, whom: list[Notification]) -> None:
        for each in whom:
            await one.control(control(each, CANCEL))

    first, second = all_of_them[:20], all_of_them[20:]
    await asyncio.gather(
        accept(schedulers[0], first),
        cancel(schedulers[1], first),
        cancel(schedulers[2], second),
        accept(schedulers[3], second),
    )
    assert await schedulers[0].release() == []
    assert await states(database) == {"cancelled": 40}
    async with database.connection() as connection:
        assert (
            await connection.fetchval("SELECT count(*) FROM scheduler.control WHERE waits AND gate = 'cancelled'") == 40
        )


async def test_a_release_and_a_cancel_at_the_same_time_agree(database: Database) -> None:
    """Either it left and the gate says so, or it never leaves."""
    events = [accepted(due()) for _ in range(60)]
    scheduler = Scheduler(database)
    await scheduler.accept(*events)
    left: list[Any] = []
    said: list[NotificationControlled] = []

    async def release() -> None:
        for _ in range(20):
            left.extend(ids(await scheduler.release(batch=5)))

    async def cancel() -> None:
        for event in events:
            said.extend(await scheduler.control(control(event.notification, CANCEL)))

    await asyncio.gather(release(), cancel(), release())
    assert len(left) == len(set(left))
    assert {event.notification_id for event in said if not event.waits} == set(left)
    assert await states(database) == {
        state: count for state, count in (("fired", len(left)), ("cancelled", 60 - len(left))) if count
    }
