"""Held, then released once, on real Postgres."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from libs.bus import Outgoing
from libs.contracts.commands import ExpandAudience
from libs.contracts.events import NotificationAccepted
from libs.contracts.failures import Unavailable
from libs.contracts.ids import event_id
from libs.contracts.routing import Lane
from libs.storage import Database
from services.scheduler.handlers import SchedulerHandlers
from services.scheduler.release import Releaser
from services.scheduler.turning import Turning
from tests.services.scheduler.making import (
    LATE,
    TRACEPARENT,
    Recorder,
    accepted,
    controller,
    notification,
    now,
    received,
    releaser,
    states,
)

pytestmark = pytest.mark.postgres


async def hold(database: Database, *events: NotificationAccepted) -> int:
    """Hold them; how often somebody was woken."""
    woken: list[None] = []
    handlers = SchedulerHandlers(controller(), lambda: woken.append(None))
    async with database.transaction() as connection:
        effect = await handlers.on_notification_accepted(received(*events), connection)
    assert not effect.publish
    if effect.committed:
        effect.committed()
    return len(woken)


async def let_claims_grow_old(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("UPDATE scheduler.claim SET claimed_at = claimed_at - interval '1 hour'")


async def test_what_does_not_wait_is_not_held(database: Database) -> None:
    assert await hold(database, accepted(waits=False), accepted(notification(at=None), waits=False)) == 0
    assert await states(database) == {}


async def test_what_waits_is_held_once(database: Database) -> None:
    event = accepted()
    assert [await hold(database, event, event) for _ in range(2)] == [1, 1]
    assert await states(database) == {"waiting": 1}


async def test_what_is_not_due_stays(database: Database) -> None:
    bus = Recorder()
    await hold(database, accepted())
    assert await releaser(database, bus).turn() == 20.0
    assert (bus.outgoing, await states(database)) == ([], {"waiting": 1})


async def test_what_is_due_is_released_once(database: Database) -> None:
    bus, one = Recorder(), notification(at=now() - LATE, lane=Lane.URGENT)
    await hold(database, accepted(one))
    await releaser(database, bus).turn()
    await releaser(database, bus).turn()
    (out,) = bus.outgoing
    assert isinstance(out.message, ExpandAudience)
    assert (out.topic.name, out.traceparent) == ("expand.audience.urgent", TRACEPARENT)
    assert (out.message.notification, out.message.tenant, out.message.key) == (one, "demo", "client:17")
    assert out.message.event_id == event_id(one.notification_id, "expand.audience", 0)
    assert out.message.causation_id == accepted(one).event_id
    assert await states(database) == {"fired": 1}


async def test_an_acceptance_that_comes_again_after_the_release_changes_nothing(database: Database) -> None:
    bus, event = Recorder(), accepted(notification(at=now() - LATE))
    await hold(database, event)
    await releaser(database, bus).turn()
    await hold(database, event)
    await releaser(database, bus).turn()
    assert len(bus.outgoing) == 1


async def test_the_pause_ends_with_the_next_instant(database: Database) -> None:
    await hold(database, accepted(notification(at=now() + timedelta(seconds=5))), accepted())
    assert 3 < await releaser(database, Recorder()).turn() <= 5


async def test_more_than_a_batch_goes_on_without_a_pause(database: Database) -> None:
    bus = Recorder()
    await hold(database, *(accepted(notification(at=now() - LATE)) for _ in range(5)))
    one = releaser(database, bus, batch=2)
    pauses = [await one.turn() for _ in range(3)]
    assert pauses[:2] == [0.0, 0.0]
    assert pauses[2] > 0
    assert len(set(bus.ids)) == len(bus.ids) == 5


async def test_what_kafka_did_not_take_is_published_by_the_next_turn(database: Database) -> None:
    bus = Recorder(failures=2)
    await hold(database, accepted(notification(at=now() - LATE)))
    one = releaser(database, bus)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await one.turn()
        assert await states(database) == {"firing": 1}
    await one.turn()
    assert (len(bus.outgoing), await states(database)) == (1, {"fired": 1})


async def test_what_the_dead_left_is_released_when_the_lease_ends_and_not_before(database: Database) -> None:
    dead, living = Recorder(failures=1), Recorder()
    await hold(database, accepted(notification(at=now() - LATE)))
    with pytest.raises(Unavailable):
        await releaser(database, dead).turn()
    survivor = releaser(database, living)
    assert await survivor.turn() == 20.0
    assert living.outgoing == []
    await let_claims_grow_old(database)
    await survivor.turn()
    assert (len(living.outgoing), await states(database)) == (1, {"fired": 1})


async def test_a_replica_that_comes_back_takes_over_what_it_had_claimed_at_once(database: Database) -> None:
    dead, living = Recorder(failures=1), Recorder()
    await hold(database, accepted(notification(at=now() - LATE)))
    with pytest.raises(Unavailable):
        await releaser(database, dead, owner="1").turn()
    other, again = releaser(database, living, owner="2"), releaser(database, living, owner="1")
    await other.begin()
    await other.turn()
    assert living.outgoing == []
    await again.begin()
    await again.turn()
    assert (len(living.outgoing), await states(database)) == (1, {"fired": 1})


async def test_one_lane_does_not_wait_for_the_other(database: Database) -> None:
    bus = Recorder()
    await hold(database, *(accepted(notification(at=now() - LATE)) for _ in range(5)))
    await hold(database, accepted(notification(at=now() - timedelta(seconds=1), lane=Lane.URGENT)))
    await releaser(database, bus, batch=2).turn()
    assert [one.topic.lane for one in bus.outgoing].count(Lane.URGENT) == 1


async def test_published_twice_it_is_the_same_message(database: Database) -> None:
    """Somebody slow publishes after his lease: audience sees the same event id and the same bytes."""
    slow, quick = Recorder(failures=1), Recorder()
    await hold(database, accepted(notification(at=now() - LATE)))
    sleeper = releaser(database, slow)
    with pytest.raises(Unavailable):
        await sleeper.turn()
    await let_claims_grow_old(database)
    await releaser(database, quick).turn()
    await sleeper.turn()
    assert [one.message.model_dump_json() for one in slow.outgoing] == [
        one.message.model_dump_json() for one in quick.outgoing
    ]
    assert await states(database) == {"fired": 1}


async def test_beside_each_other_they_never_release_twice(database: Database) -> None:
    await hold(database, *(accepted(notification(at=now() - LATE)) for _ in range(300)))
    buses = [Recorder() for _ in range(4)]
    several = [releaser(database, bus, batch=7) for bus in buses]

    async def until_nothing_is_left(one: Releaser) -> None:
        while await one.turn() == 0.0 or (await states(database)).get("waiting"):
            pass

    await asyncio.gather(*map(until_nothing_is_left, several))
    published = Counter(identity for bus in buses for identity in bus.ids)
    assert len(published) == 300
    assert set(published.values()) == {1}
    assert await states(database) == {"fired": 300}


@contextlib.asynccontextmanager
async def running(one: Turning) -> Any:
    task = asyncio.create_task(one.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_it_wakes_for_what_comes_in_while_it_rests(database: Database) -> None:
    bus = Recorder()
    one = Turning(releaser(database, bus, longest_pause=timedelta(seconds=60)).turn, "release")
    async with running(one):
        await hold(database, accepted(notification(at=now() + timedelta(milliseconds=300))))
        one.wake()
        await asyncio.wait_for(bus.something.wait(), 10)
    (out,) = bus.outgoing
    assert isinstance(out.message, ExpandAudience)
    assert out.message.notification.at is not None
    assert out.message.occurred_at >= out.message.notification.at


async def test_it_goes_on_after_kafka_was_away(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    bus = Recorder(failures=2)
    await hold(database, accepted(notification(at=now() - LATE)))
    with caplog.at_level(logging.WARNING):
        async with running(Turning(releaser(database, bus).turn, "release")):
            await asyncio.wait_for(bus.something.wait(), 10)
    assert caplog.messages == ["release waits"] * 2


async def test_a_stop_lets_a_release_come_to_its_end(database: Database) -> None:
    class Slow(Recorder):
        def __init__(self) -> None:
            super().__init__()
            self.begun, self.go_on = asyncio.Event(), asyncio.Event()

        async def publish(self, outgoing: Sequence[Outgoing]) -> None:
            self.begun.set()
            await self.go_on.wait()
            await super().publish(outgoing)

    bus = Slow()
    await hold(database, accepted(notification(at=now() - LATE)))
    task = asyncio.create_task(Turning(releaser(database, bus).turn, "release").run())
    await asyncio.wait_for(bus.begun.wait(), 10)
    task.cancel()
    await asyncio.sleep(0)
    bus.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await states(database) == {"fired": 1}
