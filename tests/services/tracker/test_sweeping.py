"""Orphans are looked at again, and given up on."""

import pytest

from libs.bus import Received
from libs.contracts.states import DeliveryState
from libs.storage import Database
from services.tracker import sweeping
from services.tracker.handlers import TrackerHandlers
from services.tracker.sweeping import OrphanSweep
from tests.services.tracker.making import NOON, attempted, counters_and_recount, new_id, reported, tell

pytestmark = pytest.mark.postgres
S = DeliveryState


async def orphans(database: Database) -> int:
    """How many there are."""
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM tracker.orphan"))


async def execute(database: Database, statement: str) -> None:
    async with database.connection() as connection:
        await connection.execute(statement)


async def test_an_orphan_that_missed_its_submission_is_joined(database: Database, handlers: TrackerHandlers) -> None:
    """Neither of two transactions saw what the other had not committed yet."""
    notification = new_id()
    window = attempted(notification, [(0, S.SENT, "", "abc")])
    async with database.transaction() as slow:
        await handlers.on_delivery_attempted([Received(window, window.type, 0, 0, NOON, None)], slow)
        await tell(database, handlers, reported([("abc", S.DELIVERED, "000")]))
    assert (await counters_and_recount(database, notification))[0] == {"sent": 1}
    assert await OrphanSweep(database).run() is False
    assert (await counters_and_recount(database, notification))[0] == {"delivered": 1}
    assert await orphans(database) == 0


async def test_what_nobody_knows_is_looked_at_less_and_less(database: Database, handlers: TrackerHandlers) -> None:
    await tell(database, handlers, reported([("unknown", S.DELIVERED, "000")]))
    waits = []
    for _ in range(4):
        await OrphanSweep(database).run()
        async with database.connection() as connection:
            waits.append(await connection.fetchval("SELECT due_at - now() FROM tracker.orphan"))
        # Time passes until it is due.
        await execute(database, "UPDATE tracker.orphan SET kept_since = kept_since - (due_at - now()), due_at = now()")
    assert waits == sorted(waits)
    assert waits[0].total_seconds() <= 1 < waits[-1].total_seconds()
    assert await orphans(database) == 1


async def test_after_72_hours_it_is_given_up(database: Database, handlers: TrackerHandlers) -> None:
    await tell(
        database,
        handlers,
        reported([("young", S.DELIVERED, "0")]),
    )
    await execute(database, "UPDATE tracker.orphan SET kept_since = now() - interval '71 hours'")
    await OrphanSweep(database).run()
    assert await orphans(database) == 1
    await execute(database, "UPDATE tracker.orphan SET kept_since = now() - interval '72 hours 1 second'")
    await OrphanSweep(database).run()
    assert await orphans(database) == 0


async def test_a_look_is_bounded_and_says_when_there_is_more(
    database: Database, handlers: TrackerHandlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "LIMIT", 3)
    await tell(database, handlers, reported([(f"u{number}", S.DELIVERED, "0") for number in range(5)]))
    sweep = OrphanSweep(database)
    assert [await sweep.run(), await sweep.run()] == [True, False]
