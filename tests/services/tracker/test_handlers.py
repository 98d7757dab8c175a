"""Facts told in any order, any number of times, in any batches and side by side, on real Postgres."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from libs.contracts.envelope import Message
from libs.contracts.ids import MAX_NUMBER, NotificationId, delivery_id
from libs.contracts.states import DeliveryState
from libs.storage import Database
from services.tracker.answers import delivery_answer, page_answer, progress_answer
from services.tracker.facts import handles_of
from services.tracker.handlers import TrackerHandlers
from services.tracker.lifecycle import CODES, STATES
from services.tracker.repository import QueryRepository
from services.tracker.sweeping import OrphanSweep
from tests.services.tracker.making import (
    PROVIDER,
    TENANT,
    accepted,
    attempted,
    counters_and_recount,
    expanded,
    new_id,
    planned,
    rejected,
    reported,
    suppressed,
    tell,
)

pytestmark = pytest.mark.postgres
S = DeliveryState

PLANNED, SUPPRESSED = 150, 20
ENDS = {
    S.DELIVERED: 66,
    S.SENT: 20,
    S.ON_PHONE: 10,
    S.NOT_DELIVERED: 10,
    S.FAILED: 14,
    S.RETRYING: 5,
    S.UNKNOWN: 5,
    S.QUEUED: 20,
    S.SUPPRESSED: SUPPRESSED,
}


def campaign(notification: NotificationId, tenant: str = TENANT) -> list[Message]:
    """All facts of a small campaign over three blocks; `ENDS` says how it ends.

    0-65 delivered (0-9 only after a retry, 10-19 after "on the phone", 20-29 corrected), 66-85 sent, 86-95 on_phone,
    96-105 not delivered, 106-119 failed (106-109 after a retry), 120-124 retrying, 125-129 unknown, 130-149 queued.
    """

    def message_id(number: int) -> str:
        return f"{notification.hex}-{number}"

    def sent(low: int, high: int, **more: Any) -> Message:
        return attempted(
            notification,
            [(number, S.SENT, "", message_id(number)) for number in range(low, high)],
            tenant=tenant,
            **more,
        )

    def ended(low: int, high: int, state: S, reason: str, **more: Any) -> Message:
        return attempted(
            notification, [(number, state, reason, "") for number in range(low, high)], tenant=tenant, **more
        )

    def receipts(low: int, high: int, state: S, code: str, **more: Any) -> Message:
        return reported([(message_id(number), state, code) for number in range(low, high)], **more)

    return [
        accepted(notification, tenant=tenant),
        expanded(notification, PLANNED, SUPPRESSED, tenant=tenant),
        planned(notification, 0, 60, tenant=tenant),
        planned(notification, 60, 50, tenant=tenant),
        planned(notification, 110, 40, tenant=tenant),
        suppressed(notification, 150, ["no_address"] * 12 + ["no_consent"] * 8, tenant=tenant),
        ended(0, 10, S.RETRYING, "busy", after=1),
        sent(0, 10, attempt=2, after=70),
        sent(10, 66),
        sent(66, 106),
        ended(106, 110, S.RETRYING, "busy"),
        ended(106, 110, S.FAILED, "gave_up", attempt=2, after=90),
        ended(110, 120, S.FAILED, "invalid_number"),
        ended(120, 125, S.RETRYING, "busy"),
        ended(125, 130, S.UNKNOWN, "timeout"),
        receipts(0, 20, S.DELIVERED, "000", after=100),
        receipts(10, 20, S.ON_PHONE, "001", after=50),
        receipts(20, 30, S.NOT_DELIVERED, "069", after=60),
        receipts(20, 66, S.DELIVERED, "000", after=200),
        receipts(30, 66, S.DELIVERED, "000", after=300),
        receipts(86, 96, S.ON_PHONE, "001"),
        receipts(96, 106, S.NOT_DELIVERED, "069"),
    ]


def without_ids(answer: dict[str, Any]) -> dict[str, Any]:
    """A delivery's answer as it must be for every campaign."""
    kept = {name: value for name, value in answer.items() if name not in ("id", "notification_id")}
    for attempt in kept["attempts"]:
        attempt["provider_message_id"] = attempt["provider_message_id"] is not None
    return kept


# One or two of each fate, and those at the borders of chunks and blocks.
LOOKED_INTO = (0, 9, 10, 20, 30, 59, 60, 63, 64, 66, 86, 96, 106, 110, 120, 125, 127, 128, 130, 149, 150, 169)


async def everything(books: QueryRepository, notification: NotificationId, tenant: str = TENANT) -> list[Any]:
    """What can be asked about a campaign: where all stand, and the whole history of some."""
    deliveries: Any = await books.deliveries(tenant, notification, first=notification, state=None, limit=1000)
    found = [await books.delivery(tenant, delivery_id(notification, number)) for number in LOOKED_INTO]
    histories = [without_ids(delivery_answer(*one)) for one in found if one is not None]
    return [(delivery.recipient, delivery.standing) for delivery in deliveries] + histories


def in_batches(messages: list[Message], chance: random.Random) -> list[list[Message]]:
    """The messages shuffled, some of them repeated, in batches of one kind."""
    told = messages + chance.choices(messages, k=len(messages) // 2)
    chance.shuffle(told)
    batches: list[list[Message]] = []
    while told:
        kind = type(told[0])
        size = chance.randint(1, 4)
        batch = [message for message in told if type(message) is kind][:size]
        batches.append(batch)
        for message in batch:
            told.remove(message)
    return batches


async def assert_adds_up(database: Database, books: QueryRepository, notification: NotificationId) -> None:
    """The counters are those of the blocks; and planned is the sum of all states once it is known."""
    counted, held = await counters_and_recount(database, notification)
    assert counted == held
    progress = await books.notification(TENANT, notification)
    if progress is not None and progress.totals_known:
        answer: Any = progress_answer(notification, progress)
        assert (answer["planned"], answer["suppressed"]) == (PLANNED, SUPPRESSED)
        assert sum(answer["counts"].values()) == PLANNED
        assert min(answer["counts"].values()) > 0


@pytest.fixture
async def in_order(database: Database, handlers: TrackerHandlers, books: QueryRepository) -> list[Any]:
    """The campaign told once, in order."""
    notification = new_id()
    for message in campaign(notification):
        await tell(database, handlers, message)
    return await everything(books, notification)


async def test_a_campaign_told_in_order_ends_as_planned(in_order: list[Any]) -> None:
    standings, histories = in_order[: PLANNED + SUPPRESSED], dict(zip(LOOKED_INTO, in_order[-22:], strict=True))
    assert Counter(STATES[standing.fact.state] for _, standing in standings) == ENDS
    assert [(one["attempt"], one["state"]) for one in histories[0]["attempts"]] == [(1, "retrying"), (2, "sent")]
    assert (histories[0]["to"], histories[0]["client_id"]) == ("+48000000000", 1000)
    assert [histories[number]["reason"] for number in (149, 150)] == [None, "no_address"]
    assert [receipt["code"] for receipt in histories[20]["receipts"]] == ["069", "000"]


@pytest.mark.parametrize("seed", range(8))
async def test_any_order_repetition_and_batching_ends_alike(
    seed: int, database: Database, handlers: TrackerHandlers, books: QueryRepository, in_order: list[Any]
) -> None:
    notification, chance = new_id(), random.Random(seed)
    for batch in in_batches(campaign(notification), chance):
        await tell(database, handlers, *batch)
        await assert_adds_up(database, books, notification)
    assert await everything(books, notification) == in_order
    progress = await books.notification(TENANT, notification)
    assert progress is not None
    answer: Any = progress_answer(notification, progress)
    assert answer["counts"] == {state.value: count for state, count in ENDS.items() if state is not S.SUPPRESSED}
    assert answer["state"] == "running"
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM tracker.orphan") == 0


@pytest.fixture
async def second_replica(postgres: str) -> AsyncIterator[Database]:
    database = await Database.connect(postgres, service="tracker-test-2", max_size=6)
    yield database
    await database.close()


@pytest.mark.parametrize("seed", range(3))
async def test_consumers_and_replicas_fold_side_by_side(
    seed: int, database: Database, second_replica: Database, books: QueryRepository, in_order: list[Any]
) -> None:
    """Twelve consumers of two replicas tell overlapping facts of the same campaigns: nobody waits in a circle (a
    deadlock would come out as Unavailable), nothing counts twice."""
    chance = random.Random(seed)
    notifications = [new_id() for _ in range(4)]
    messages = [message for notification in notifications for message in campaign(notification)]

    async def consume(replica: Database, batches: list[list[Message]]) -> None:
        handlers = TrackerHandlers()
        for batch in batches:
            await tell(replica, handlers, *batch)

    replicas = [database] * 6 + [second_replica] * 6
    await asyncio.gather(*(consume(replica, in_batches(messages, chance)) for replica in replicas))
    # An orphan kept while its submission was being committed is the sweep's.
    await OrphanSweep(database).run()
    for notification in notifications:
        await assert_adds_up(database, books, notification)
        assert await everything(books, notification) == in_order


async def test_a_receipt_before_its_submission_is_joined(database: Database, handlers: TrackerHandlers) -> None:
    notification = new_id()
    await tell(database, handlers, reported([("abc", S.DELIVERED, "000"), ("nobody's", S.DELIVERED, "000")]))
    assert await counters_and_recount(database, notification) == ({}, {})
    await tell(database, handlers, attempted(notification, [(5, S.SENT, "", "abc")]))
    assert (await counters_and_recount(database, notification))[0] == {"delivered": 1}
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM tracker.orphan") == 1


async def test_ids_that_share_half_a_hash_are_told_apart(
    database: Database, handlers: TrackerHandlers, books: QueryRepository
) -> None:
    notification = new_id()
    await tell(database, handlers, attempted(notification, [(0, S.SENT, "", "one"), (1, S.SENT, "", "two")]))
    [(key, _)] = handles_of(PROVIDER, ["one"])
    async with database.connection() as connection:
        await connection.execute("UPDATE tracker.submission SET key = $1", key)
    await tell(database, handlers, reported([("one", S.DELIVERED, "0")]))
    progress = await books.delivery(TENANT, delivery_id(notification, 0))
    assert progress is not None
    assert progress[0].standing.fact.state == CODES[S.DELIVERED]
    assert (await counters_and_recount(database, notification))[0] == {"delivered": 1, "sent": 1}


async def test_an_id_used_again_means_the_later_delivery(database: Database, handlers: TrackerHandlers) -> None:
    earlier, later = sorted((new_id(), new_id()))
    for notification in (later, earlier):
        await tell(database, handlers, attempted(notification, [(0, S.SENT, "", "again")]))
    await tell(database, handlers, reported([("again", S.DELIVERED, "0")]))
    assert (await counters_and_recount(database, earlier))[0] == {"sent": 1}
    assert (await counters_and_recount(database, later))[0] == {"delivered": 1}


async def test_a_correction_is_recorded(database: Database, handlers: TrackerHandlers) -> None:
    notification = new_id()
    await tell(database, handlers, attempted(notification, [(0, S.SENT, "", "x")]))
    await tell(database, handlers, reported([("x", S.NOT_DELIVERED, "069")], after=60))
    await tell(database, handlers, reported([("x", S.DELIVERED, "000")], after=90))
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT delivery_id FROM tracker.correction") == delivery_id(notification, 0)
    assert (await counters_and_recount(database, notification))[0] == {"delivered": 1}


async def test_a_resend_outranks_what_was_before(
    database: Database, handlers: TrackerHandlers, books: QueryRepository
) -> None:
    notification = new_id()
    await tell(database, handlers, planned(notification, 0, 2))
    await tell(database, handlers, expanded(notification, 2))
    await tell(database, handlers, attempted(notification, [(0, S.FAILED, "blocked", ""), (1, S.SENT, "", "a")]))
    await tell(database, handlers, attempted(notification, [(0, S.SENT, "", "b")], generation=1))
    await tell(database, handlers, planned(notification, 0, 1, generation=1))
    await tell(database, handlers, expanded(notification, 1, generation=1))
    progress = await books.notification(TENANT, notification)
    assert progress is not None
    answer: Any = progress_answer(notification, progress)
    assert (answer["planned"], answer["counts"]) == (2, {"sent": 2})
    found = await books.delivery(TENANT, notification)
    assert found is not None
    assert found[0].standing.fact.generation == 1
    assert [(attempt.generation, attempt.state) for attempt in found[1]] == [(0, S.FAILED), (1, S.SENT)]


async def test_a_fallbacks_step_adds_to_the_totals(
    database: Database, handlers: TrackerHandlers, books: QueryRepository
) -> None:
    notification = new_id()
    await tell(database, handlers, planned(notification, 0, 3), planned(notification, 0, 1, step=1))
    await tell(database, handlers, expanded(notification, 3), expanded(notification, 1, step=1))
    await tell(database, handlers, expanded(notification, 3), expanded(notification, 1, step=1))
    progress = await books.notification(TENANT, notification)
    assert progress is not None
    assert (progress.planned, progress.counts[S.QUEUED]) == (4, 4)


async def test_a_rejection_shows_its_reason_unless_the_id_was_accepted(
    database: Database, handlers: TrackerHandlers, books: QueryRepository
) -> None:
    refused, taken = new_id(), new_id()
    await tell(database, handlers, rejected(refused), rejected(None, "NUL \0 in text"), rejected(taken, "other body"))
    await tell(database, handlers, accepted(taken))
    answers = {}
    for notification in (refused, taken):
        progress = await books.notification(TENANT, notification)
        assert progress is not None
        answers[notification] = progress_answer(notification, progress)
    assert (answers[refused]["state"], answers[refused]["rejected"]) == ("rejected", "no such template")
    assert answers[taken]["state"] == "running"
    assert "rejected" not in answers[taken]
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM tracker.rejection") == 3


async def test_a_number_that_fits_no_delivery_reaches_no_other_notification(
    database: Database, handlers: TrackerHandlers
) -> None:
    for number in (-1, MAX_NUMBER + 1):
        with pytest.raises(ValueError, match="does not fit"):
            await tell(database, handlers, attempted(new_id(), [(number, S.SENT, "", "x")]))
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM tracker.block") == 0


@pytest.mark.parametrize("seed", range(4))
async def test_no_tenant_sees_or_changes_anothers(
    seed: int, database: Database, handlers: TrackerHandlers, books: QueryRepository, in_order: list[Any]
) -> None:
    """Two tenants tell of the same notification's id (one of them lies): each has its own books."""
    chance, mine, other = random.Random(seed), new_id(), new_id()
    for batch in in_batches(campaign(mine), chance):
        await tell(database, handlers, *batch)
    intruder = [
        planned(mine, 0, 64, tenant="intruder"),
        attempted(mine, [(number, S.FAILED, "lie", "") for number in range(64)], tenant="intruder"),
        expanded(mine, 7, tenant="intruder"),
        planned(other, 0, 64, tenant="intruder"),
    ]
    chance.shuffle(intruder)
    for message in intruder:
        await tell(database, handlers, message)
    assert await everything(books, mine) == in_order
    assert await books.notification(TENANT, other) is None
    for _ in range(50):
        number, state = chance.randint(64, 200), chance.choice([None, *S])
        assert await books.delivery("intruder", delivery_id(mine, number)) is None
        assert await books.delivery(TENANT, delivery_id(other, chance.randint(0, 63))) is None
        seen = await books.deliveries("intruder", mine, first=mine, state=state, limit=1000)
        answer: Any = page_answer(seen or (), limit=1000)
        assert {delivery["reason"] for delivery in answer["deliveries"]} <= {"lie"}
        assert await books.deliveries(TENANT, other, first=other, state=state, limit=1000) is None
