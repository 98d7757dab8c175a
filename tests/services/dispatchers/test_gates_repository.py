"""What waits of a notification whose owner stopped it, and what goes on again."""

from datetime import timedelta
from uuid import uuid4

import pytest

from libs.contracts.commands import SendDeliveries
from libs.contracts.outcomes import Ambiguous, Transient
from libs.contracts.routing import Channel, Lane
from libs.contracts.states import DeliveryState, Gate
from libs.storage import Connection, Database
from services.dispatchers.repository import (
    Claimed,
    ClaimRepository,
    Decision,
    EndingRepository,
    GateRepository,
    Owner,
    RecordRepository,
    UpkeepRepository,
    chunk_from,
)
from services.dispatchers.results import result_of
from services.dispatchers.retrying import Unsent
from services.dispatchers.windows import Window
from tests.services.dispatchers.making import NOON, in_future, make_chunk, staging

pytestmark = pytest.mark.postgres

OWNER = Owner("1", uuid4())
CLAIMS = ClaimRepository(Channel.SMS, OWNER)
RECORDS = RecordRepository()
GATES = GateRepository()
ENDINGS = EndingRepository(Channel.SMS, OWNER)
STOPPED = [Gate.PAUSED, Gate.HELD, Gate.CANCELLED]


async def decide(connection: Connection, chunk: SendDeliveries, gate: Gate, revision: int = 1) -> None:
    await GATES.decide(connection, [Decision(chunk.tenant, chunk.notification_id, gate, revision)])


async def claim(connection: Connection, route: str = "one", room: int = 1000) -> list[Claimed]:
    chunks = await CLAIMS.claim_chunks(connection, Lane.BULK, "demo", route=route, room=room)
    return [*chunks, *await CLAIMS.claim_items(connection, Lane.BULK, "demo", route=route, room=room)]


async def fail(connection: Connection, claimed: Claimed, outcome: object) -> dict[object, bool]:
    assert claimed.body is not None
    chunk = chunk_from(claimed.body)
    earlier = dict(zip(claimed.ordinals, claimed.earlier, strict=False))
    window = Window(claimed.claim_id, chunk, claimed.ordinals, 1e9, 1e9, earlier=earlier, route=claimed.route)
    window.settle(0, [outcome] * len(claimed.ordinals))  # type: ignore[list-item]
    result = result_of(window, finished_at=NOON, now=0.0, held_for=0.0, random=lambda: 0.0)
    return dict(await RECORDS.record(connection, [result]))


async def ended(connection: Connection) -> dict[Unsent, list[int]]:
    return {each.verdict: list(each.ordinals) for each in await ENDINGS.take(connection, chunks=10, items=100)}


@pytest.mark.parametrize("gate", STOPPED)
async def test_a_chunk_of_a_stopped_notification_is_staged_and_not_claimed(database: Database, gate: Gate) -> None:
    stopped, other = make_chunk(), make_chunk()
    async with database.transaction() as connection:
        await decide(connection, stopped, gate)
        claims = await CLAIMS.stage(connection, [staging(stopped, 3), staging(other, 3)])
        assert [each.chunk_id for each in claims] == [other.chunk_id]
        assert await claim(connection) == []
        assert await CLAIMS.waiting(connection) == []
        assert await connection.fetchval("SELECT gate FROM dispatch.chunk WHERE open") == gate


@pytest.mark.parametrize("gate", STOPPED)
@pytest.mark.parametrize("flagged", [True, False])
async def test_what_waits_is_not_claimed_from_the_decision_on(database: Database, gate: Gate, flagged: bool) -> None:
    """Whether or not the rows know of it yet."""
    stopped, other = make_chunk(), make_chunk(2)
    async with database.transaction() as connection:
        await CLAIMS.stage(connection, [staging(stopped), staging(other)])
        await decide(connection, stopped, gate)
        if flagged:
            assert await GATES.flag(connection) is False
        assert [each.chunk_id for each in await claim(connection)] == [other.chunk_id]


@pytest.mark.parametrize("flagged", [True, False])
async def test_exceptions_wait_too(database: Database, flagged: bool) -> None:
    chunk = make_chunk()
    async with database.transaction() as connection:
        await CLAIMS.stage(connection, [staging(chunk)])
        (claimed,) = await claim(connection)
        assert await fail(connection, claimed, Transient("busy")) == {claimed.claim_id: False}
        await decide(connection, chunk, Gate.PAUSED)
        if flagged:
            await GATES.flag(connection)
        assert await claim(connection) == []
        await decide(connection, chunk, Gate.OPEN, 2)
        await GATES.flag(connection)
        assert [each.ordinals for each in await claim(connection)] == [[0, 1, 2]]


async def test_what_fails_while_it_is_paused_waits(database: Database) -> None:
    chunk = make_chunk()
    async with database.transaction() as connection:
        await CLAIMS.stage(connection, [staging(chunk)])
        (claimed,) = await claim(connection)
        await decide(connection, chunk, Gate.PAUSED)
        await GATES.flag(connection)
        await fail(connection, claimed, Transient("busy"))
        assert await connection.fetchval("SELECT array_agg(DISTINCT gate) FROM dispatch.item") == ["paused"]


async def test_a_resumed_notification_goes_on_where_it_stopped(database: Database) -> None:
    chunk = make_chunk(5)
    async with database.transaction() as connection:
        await CLAIMS.stage(connection, [staging(chunk)])
        await claim(connection, room=2)
        await decide(connection, chunk, Gate.PAUSED)
        await GATES.flag(connection)
        assert await claim(connection) == []
        await decide(connection, chunk, Gate.OPEN, 2)
        await GATES.flag(connection)
        assert [each.ordinals for each in await claim(connection)] == [range(2, 5)]


async def test_older_decisions_change_nothing(database: Database) -> None:
    chunk = make_chunk()
    async with database.transaction() as connection:
        await decide(connection, chunk, Gate.CANCELLED, 3)
        await decide(connection, chunk, Gate.OPEN, 2)
        await decide(connection, chunk, Gate.OPEN, 3)
        assert await connection.fetchval("SELECT gate FROM dispatch.gate") == "cancelled"


async def test_a_chunk_that_was_staged_beside_the_decision_learns_of_it(database: Database) -> None:
    chunk = make_chunk()
    async with database.transaction() as staged:
        await CLAIMS.stage(staged, [staging(chunk)])
        async with database.transaction() as connection:
            await decide(connection, chunk, Gate.CANCELLED)
            await GATES.flag(connection)
    async with database.transaction() as connection:
        assert await ended(connection) == {}
        await GATES.flag(connection)
        assert await ended(connection) == {Unsent.CANCELLED: [0, 1, 2]}


async def test_rows_in_work_are_left_to_the_next_time(database: Database) -> None:
    chunk = make_chunk()
    async with database.transaction() as connection:
        await CLAIMS.stage(connection, [staging(chunk)])
    async with database.transaction() as busy:
        await busy.execute("SELECT FROM dispatch.chunk FOR UPDATE")
        async with database.transaction() as connection:
            await decide(connection, chunk, Gate.PAUSED)
            await GATES.flag(connection)
    async with database.transaction() as connection:
        assert await claim(connection) == []
        await GATES.flag(connection)
        assert await connection.fetchval("SELECT gate FROM dispatch.chunk") == "paused"


async def test_a_decision_is_of_one_tenant(database: Database) -> None:
    chunk = make_chunk()
    async with database.transaction() as connection:
        await CLAIMS.stage(connection, [staging(chunk)])
        await GATES.decide(connection, [Decision("other", chunk.notification_id, Gate.CANCELLED, 1)])
        await GATES.flag(connection)
        assert len(await claim(connection)) == 1


async def test_what_was_claimed_before_a_cancel_and_recorded_after_it_has_slipped(database: Database) -> None:
    chunk = make_chunk()
    async with database.transaction() as connection:
        await CLAIMS.stage(connection, [staging(chunk)])
        (claimed,) = await claim(connection)
        await decide(connection, chunk, Gate.CANCELLED)
        assert await fail(connection, claimed, Transient("busy")) == {claimed.claim_id: True}
        await connection.execute("UPDATE dispatch.claim SET lease_until = now() - interval '1 second'")
        (unreported,) = await UpkeepRepository(Channel.SMS, OWNER).take_unreported(connection)
        assert unreported.event.slipped
        assert await ended(connection) == {Unsent.CANCELLED: [0, 1, 2]}


async def test_the_unclaimed_rest_and_the_exceptions_of_a_cancelled_notification_end(database: Database) -> None:
    chunk = make_chunk(10)
    async with database.transaction() as connection:
        await CLAIMS.stage(connection, [staging(chunk)])
        first, second = [*await claim(connection, room=2), *await claim(connection, room=2)]
        await fail(connection, first, Ambiguous("no answer"))
        await decide(connection, chunk, Gate.CANCELLED)
        await GATES.flag(connection)
        assert await ENDINGS.is_any(connection)
        taken = await ENDINGS.take(connection, chunks=10, items=100)
        assert [list(each.ordinals) for each in taken] == [[4, 5, 6, 7, 8, 9], [0, 1]]
        results = []
        for each in taken:
            earlier = dict(zip(each.ordinals, each.earlier, strict=False))
            window = Window(each.claim_id, chunk_from(each.body), each.ordinals, 0, 0, earlier=earlier)
            window.settle(0, [each.verdict] * len(each.ordinals))
            results.append(result_of(window, finished_at=NOON, now=0.0, held_for=0.0, random=lambda: 0.0))
        await ENDINGS.record(connection, results)
        told = {
            number: state
            for one in results
            if one.event
            for number, state in zip(one.event.numbers, one.event.states, strict=True)
        }
        assert told == {0: DeliveryState.UNKNOWN, 1: DeliveryState.UNKNOWN} | dict.fromkeys(
            range(4, 10), DeliveryState.CANCELLED
        )
        assert not await ENDINGS.is_any(connection)
        assert await connection.fetchval("SELECT count(*) FROM dispatch.chunk WHERE open") == 0
        assert await connection.fetchval("SELECT count(*) FROM dispatch.item") == 0
        ranges = await connection.fetch("SELECT lo, hi, state FROM dispatch.claim ORDER BY lo, hi")
        assert [tuple(row) for row in ranges] == [(0, 0, "done"), (0, 2, "done"), (2, 4, "held"), (4, 10, "done")]
    assert second.ordinals == range(2, 4)


async def test_what_expires_while_it_waits_ends(database: Database) -> None:
    """Paused or not: with no route open nobody else would notice."""
    paused = make_chunk(2, expires_at=in_future(seconds=-1))
    waiting = make_chunk(3, expires_at=in_future(hours=1))
    async with database.transaction() as connection:
        await decide(connection, paused, Gate.PAUSED)
        await CLAIMS.stage(connection, [staging(paused), staging(waiting)])
        assert await ended(connection) == {Unsent.EXPIRED: [0, 1]}


async def test_a_lost_claim_of_a_cancelled_notification_ends(database: Database) -> None:
    chunk = make_chunk(2)
    async with database.transaction() as connection:
        await CLAIMS.stage(connection, [staging(chunk)])
        await claim(connection)
        await decide(connection, chunk, Gate.CANCELLED)
    async with database.transaction() as connection:
        upkeep = UpkeepRepository(Channel.SMS, Owner("1", uuid4()))
        assert await upkeep.settle_earlier(connection) == 1
        assert await claim(connection) == []
        assert await ended(connection) == {Unsent.CANCELLED: [0, 1]}


async def test_an_unknown_outcome_stays_with_its_route_and_the_rest_goes_anywhere(database: Database) -> None:
    first, second = make_chunk(2), make_chunk(2)
    async with database.transaction() as connection:
        await CLAIMS.stage(connection, [staging(first), staging(second)])
        one, two = await claim(connection, "one")
        await fail(connection, one, Ambiguous("no answer"))
        await fail(connection, two, Transient("busy"))
        waiting = await CLAIMS.waiting(connection)
        assert [(each.exceptions, each.pinned) for each in waiting] == [(True, None), (True, "one")]
        (elsewhere,) = await claim(connection, "two")
        assert elsewhere.chunk_id == second.chunk_id
        (again,) = await claim(connection, "one")
        assert (again.chunk_id, again.route) == (first.chunk_id, "one")


async def test_a_lost_claim_stays_with_its_route(database: Database) -> None:
    async with database.transaction() as connection:
        await CLAIMS.stage(connection, [staging(make_chunk(2))])
        await claim(connection, "one")
        await UpkeepRepository(Channel.SMS, Owner("1", uuid4())).settle_earlier(connection)
        assert await claim(connection, "two") == []
        assert len(await claim(connection, "one")) == 1


async def test_claims_prefer_what_only_their_route_may_take(database: Database) -> None:
    first, second = make_chunk(3), make_chunk(3)
    async with database.transaction() as connection:
        await CLAIMS.stage(connection, [staging(first), staging(second)])
        one, two = await claim(connection, "one")
        await fail(connection, one, Transient("busy"))
        await fail(connection, two, Ambiguous("no answer"))
        taken = await claim(connection, "one", room=4)
        assert {each.chunk_id: len(each.ordinals) for each in taken} == {second.chunk_id: 3, first.chunk_id: 1}


async def test_gates_are_kept_as_long_as_something_waits_or_may_come(database: Database) -> None:
    over, recent, paused = make_chunk(), make_chunk(), make_chunk()
    async with database.transaction() as connection:
        for chunk in (over, recent, paused):
            await decide(connection, chunk, Gate.PAUSED)
        await CLAIMS.stage(connection, [staging(paused)])
        await connection.execute(
            "UPDATE dispatch.gate SET controlled_at = now() - interval '15 days' WHERE notification_id <> $1",
            recent.notification_id,
        )
        await UpkeepRepository(Channel.SMS, OWNER).forget(connection)
        kept = {row["notification_id"] for row in await connection.fetch("SELECT notification_id FROM dispatch.gate")}
        assert kept == {recent.notification_id, paused.notification_id}
        assert await GATES.flag(connection, timedelta(days=100)) is False
