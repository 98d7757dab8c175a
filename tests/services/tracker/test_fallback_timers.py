"""Who did not get it in time is tried on the next channel, once, whatever comes first."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.bus import Received
from libs.contracts.commands import ExpandAudience
from libs.contracts.ids import NotificationId
from libs.contracts.routing import Channel
from libs.contracts.states import DeliveryState, Gate
from libs.storage import Database
from services.tracker.fallback_timers import FallbackTimers
from services.tracker.handlers import TrackerHandlers
from services.tracker.repository import QueryRepository
from tests.services.tracker.making import (
    NOON,
    TENANT,
    Post,
    accepted,
    answers,
    attempted,
    controlled,
    counters_and_recount,
    expanded,
    new_id,
    planned,
    reported,
    shown,
    tell,
)

pytestmark = pytest.mark.postgres
S = DeliveryState
NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(hours=1)


@pytest.fixture
def timers(database: Database) -> FallbackTimers:
    return FallbackTimers(database, published=lambda: None)


async def fire(timers: FallbackTimers, post: Post) -> Sequence[ExpandAudience]:
    while await timers.run():
        pass
    return await post.collect()


def numbers(commands: Sequence[ExpandAudience]) -> list[int]:
    return [number for command in commands if command.recipients for number in command.recipients.numbers]


async def sent(
    database: Database, handlers: TrackerHandlers, *, at: datetime, after: Sequence[float] = (60,), count: int = 700
) -> NotificationId:
    """A notification whose `count` deliveries were planned at `at` and sent."""
    notification = new_id()
    await tell(database, handlers, accepted(notification, after=after, people=count))
    await tell(database, handlers, expanded(notification, count))
    for first in range(0, count, 500):
        part = range(first, min(first + 500, count))
        await tell(database, handlers, planned(notification, first, len(part), at=at))
        await tell(database, handlers, attempted(notification, [(n, S.SENT, "", f"{notification}{n}") for n in part]))
    return notification


def delivered(notification: NotificationId, which: Sequence[int]) -> Any:
    return reported([(f"{notification}{number}", S.DELIVERED, "000") for number in which])


async def test_when_the_time_is_over_who_has_not_got_it_is_tried_again(
    database: Database, handlers: TrackerHandlers, books: QueryRepository, timers: FallbackTimers, post: Post
) -> None:
    notification = await sent(database, handlers, at=LONG_AGO)
    await tell(database, handlers, delivered(notification, range(100)))
    commands = await fire(timers, post)
    assert numbers(commands) == list(range(100, 700))
    assert [len(command.recipients.numbers) for command in commands if command.recipients] == [500, 100]
    (first, _) = commands
    assert (first.step, first.generation, first.notification.channel) == (1, 0, Channel.VIBER)
    assert first.notification.content.text == "Hello, step 1"  # type: ignore[union-attr]
    assert first.notification.fallback == ()
    answer = await shown(books, notification)
    assert (answer["state"], answer["planned"]) == ("running", 1300)
    assert answer["counts"] == {"delivered": 100, "sent": 600, "queued": 600}
    for command in commands:
        for said in answers(command, suppress=range(100, 110)):
            await tell(database, handlers, said, said)
    answer = await shown(books, notification)
    assert (answer["planned"], answer["suppressed"]) == (1290, 10)
    assert await fire(timers, post) == []
    # Late, and both visible.
    await tell(database, handlers, delivered(notification, [100, 300]))
    answer = await shown(books, notification)
    assert answer["counts"] == {"delivered": 102, "sent": 598, "queued": 590}
    counted, held = await counters_and_recount(database, notification)
    assert counted == held


async def test_before_its_time_nothing_happens_and_it_is_not_done(
    database: Database, handlers: TrackerHandlers, books: QueryRepository, timers: FallbackTimers, post: Post
) -> None:
    notification = await sent(database, handlers, at=NOW, after=[3600], count=3)
    assert await fire(timers, post) == []
    assert (await shown(books, notification))["state"] == "running"
    await tell(database, handlers, delivered(notification, range(3)))
    assert (await shown(books, notification))["state"] == "done"


@pytest.mark.parametrize("failure", [S.FAILED, S.NOT_DELIVERED, S.CARRIER_REJECTED, S.NO_FUNDS, S.EXPIRED])
async def test_what_failed_does_not_wait(
    database: Database, handlers: TrackerHandlers, timers: FallbackTimers, post: Post, failure: S
) -> None:
    notification = new_id()
    await tell(database, handlers, accepted(notification, after=[3600]))
    await tell(database, handlers, planned(notification, 0, 4, at=NOW))
    failed = attempted(notification, [(0, S.SENT, "", "a"), (2, failure, "no", ""), (3, S.RETRYING, "busy", "")])
    await tell(database, handlers, failed)
    assert numbers(await fire(timers, post)) == [2]
    await tell(database, handlers, failed)
    assert await fire(timers, post) == []


async def test_a_chain_goes_on_step_by_step_and_ends(
    database: Database, handlers: TrackerHandlers, timers: FallbackTimers, post: Post
) -> None:
    notification = await sent(database, handlers, at=LONG_AGO, after=[60, 60, 60], count=5)
    for step in (1, 2, 3):
        (command,) = await fire(timers, post)
        assert (command.step, numbers([command])) == (step, [0, 1, 2, 3, 4])
        assert command.notification.content.text == f"Hello, step {step}"  # type: ignore[union-attr]
        chunk, totals = answers(command)
        await tell(database, handlers, chunk.model_copy(update={"occurred_at": LONG_AGO}))
        await tell(database, handlers, totals)
    failed = attempted(notification, [(number, S.FAILED, "no", "") for number in range(5)], step=3)
    await tell(database, handlers, failed)
    assert await fire(timers, post) == []


@pytest.mark.parametrize("planned_first", [True, False])
async def test_the_acceptance_may_come_last(
    database: Database,
    handlers: TrackerHandlers,
    timers: FallbackTimers,
    post: Post,
    planned_first: bool,
) -> None:
    notification = new_id()
    chunk = planned(notification, 0, 500, at=LONG_AGO)
    facts = [
        attempted(notification, [(number, S.SENT, "", f"{notification}{number}") for number in range(500)]),
        delivered(notification, range(490)),
    ]
    for one in [chunk, *facts] if planned_first else [*facts, chunk]:
        await tell(database, handlers, one)
    assert await fire(timers, post) == []
    await tell(database, handlers, accepted(notification, after=[60]).model_copy(update={"occurred_at": LONG_AGO}))
    assert numbers(await fire(timers, post)) == list(range(490, 500))


async def test_an_attempt_may_come_before_its_plan(
    database: Database, handlers: TrackerHandlers, timers: FallbackTimers, post: Post
) -> None:
    late, soon = new_id(), new_id()
    for notification, at, expected in ((late, LONG_AGO, [0, 1]), (soon, NOW, [1])):
        await tell(database, handlers, accepted(notification, after=[600]))
        await tell(
            database, handlers, attempted(notification, [(0, S.SENT, "", f"{notification}"), (1, S.FAILED, "no", "")])
        )
        assert await fire(timers, post) == []
        await tell(database, handlers, planned(notification, 0, 2, at=at))
        assert numbers(await fire(timers, post)) == expected


async def test_paused_it_waits_and_cancelled_it_ends(
    database: Database, handlers: TrackerHandlers, books: QueryRepository, timers: FallbackTimers, post: Post
) -> None:
    paused = await sent(database, handlers, at=LONG_AGO, count=3)
    ended = await sent(database, handlers, at=LONG_AGO, count=3)
    late = await sent(database, handlers, at=LONG_AGO, count=3)
    await tell(database, handlers, controlled(paused, Gate.PAUSED, 1))
    await tell(database, handlers, controlled(ended, Gate.PAUSED, 1), controlled(late, Gate.CANCELLED, 1))
    assert await fire(timers, post) == []
    await tell(database, handlers, controlled(ended, Gate.CANCELLED, 2), controlled(paused, Gate.OPEN, 2))
    commands = await fire(timers, post)
    assert [command.notification.notification_id for command in commands] == [paused]
    await tell(database, handlers, planned(late, 10, 5, at=LONG_AGO))
    assert await fire(timers, post) == []
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM tracker.timer") == 0


async def test_a_resend_is_not_taken_by_the_timer_of_what_it_replaces(
    database: Database, handlers: TrackerHandlers, timers: FallbackTimers, post: Post
) -> None:
    notification = new_id()
    await tell(database, handlers, accepted(notification, after=[3600]))
    await tell(database, handlers, planned(notification, 0, 2, at=NOW))
    await tell(database, handlers, planned(notification, 0, 1, generation=1, at=NOW))
    async with database.connection() as connection:
        await connection.execute("UPDATE tracker.timer SET due_at = now() WHERE generation = 0")
    assert numbers(await fire(timers, post)) == [1]


async def test_receipt_and_timer_at_the_same_time(
    database: Database, handlers: TrackerHandlers, books: QueryRepository, timers: FallbackTimers, post: Post
) -> None:
    """What was not delivered when the timer looked has a next step; nothing is lost or counted twice."""
    notification = await sent(database, handlers, at=LONG_AGO, count=640)
    other = FallbackTimers(database, published=lambda: None)
    reports = [delivered(notification, range(first, first + 64)) for first in range(0, 640, 64)]
    await asyncio.gather(
        *(tell(database, handlers, report) for report in reports), timers.run(), other.run(), timers.run(), other.run()
    )
    tried = numbers(await fire(timers, post))
    assert len(tried) == len(set(tried))
    counted, held = await counters_and_recount(database, notification)
    assert counted == held
    assert counted.get("queued", 0) == len(tried)
    assert counted["delivered"] == 640
    progress = await books.notification(TENANT, notification)
    assert progress is not None
    assert progress.planned == 640 + len(tried)


async def test_a_receipt_that_is_being_folded_is_waited_for(
    database: Database, handlers: TrackerHandlers, timers: FallbackTimers, post: Post
) -> None:
    notification = await sent(database, handlers, at=LONG_AGO, count=1)
    async with database.transaction() as slow:  # the receipt holds the block while the timer looks
        report = delivered(notification, [0])
        await handlers.on_receipt_received([Received(report, report.type, 0, 0, NOON, None)], slow)
        looking = asyncio.create_task(timers.run())
        await asyncio.sleep(0.05)
        assert not looking.done()
    await looking
    assert await fire(timers, post) == []
