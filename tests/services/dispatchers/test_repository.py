import asyncio
import random
from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from libs.contracts.outcomes import Accepted, Ambiguous, Permanent, Transient
from libs.contracts.routing import Channel, Lane
from libs.storage import Database
from services.dispatchers.repository import (
    Claimed,
    ClaimRepository,
    Owner,
    RecordRepository,
    UpkeepRepository,
    chunk_from,
)
from services.dispatchers.results import Result, result_of
from services.dispatchers.windows import Window
from tests.services.dispatchers.making import NOON, in_future, make_chunk, staging

pytestmark = pytest.mark.postgres

ROUTE = "http_smsc"
RECORDS = RecordRepository()


def repository(instance: str = "1", incarnation: UUID | None = None) -> ClaimRepository:
    return ClaimRepository(Channel.SMS, Owner(instance, incarnation or uuid4()))


def window_of(claimed: Claimed, outcome: object = None) -> Window:
    assert claimed.body is not None
    window = Window(
        claimed.claim_id,
        chunk_from(claimed.body),
        claimed.ordinals,
        1e9,
        1e9,
        earlier=dict(zip(claimed.ordinals, claimed.earlier, strict=False)),
        route=claimed.route,
        cost=claimed.cost,
    )
    window.settle(0, [outcome or Accepted("x")] * len(claimed.ordinals))  # type: ignore[list-item]
    return window


def result(window: Window) -> Result:
    return result_of(window, finished_at=NOON, now=0.0, held_for=0.0, random=lambda: 0.0)


async def rows(database: Database, sql: str) -> list[tuple[object, ...]]:
    async with database.connection() as connection:
        return [tuple(row.values()) for row in await connection.fetch(sql)]


async def test_a_chunk_with_room_is_staged_and_claimed_at_once(database: Database) -> None:
    first, second = make_chunk(3, expires_at=in_future(seconds=60)), make_chunk(2)
    async with database.transaction() as connection:
        claims = await repository().stage(connection, [staging(first, 3), staging(second, 0, partition=7)])
    assert [(claim.chunk_id, claim.ordinals) for claim in claims] == [(first.chunk_id, range(3))]
    assert 50 < claims[0].expires_in <= 60
    stored = await rows(database, "SELECT chunk_id, partition, n, next, open FROM dispatch.chunk ORDER BY position")
    assert stored == [(first.chunk_id, 0, 3, 3, False), (second.chunk_id, 7, 2, 0, True)]


async def test_a_message_without_expiry_lives_as_long_as_its_class(database: Database) -> None:
    async with database.transaction() as connection:
        claims = await repository().stage(connection, [staging(make_chunk(), 3)])
    assert timedelta(hours=23) < timedelta(seconds=claims[0].expires_in) <= timedelta(hours=24)


async def test_a_redelivered_chunk_stages_and_claims_nothing(database: Database) -> None:
    chunk = make_chunk()
    for expected in (1, 0):
        async with database.transaction() as connection:
            assert len(await repository().stage(connection, [staging(chunk, 3)])) == expected
    assert await rows(database, "SELECT count(*) FROM dispatch.claim") == [(1,)]


async def test_nothing_is_claimed_past_an_older_open_chunk_of_its_tenant_and_lane(database: Database) -> None:
    async with database.transaction() as connection:
        await repository().stage(connection, [staging(make_chunk(tenant="busy"))])
    cases = [("busy", Lane.BULK, 0), ("busy", Lane.URGENT, 1), ("idle", Lane.BULK, 1)]
    for tenant, lane, expected in cases:
        async with database.transaction() as connection:
            chunk = make_chunk(tenant=tenant, lane=lane)
            assert len(await repository().stage(connection, [staging(chunk, 3)])) == expected


async def test_claims_take_the_oldest_first_and_whole_chunks_where_they_can(database: Database) -> None:
    chunks = [make_chunk(size) for size in (40, 30, 50, 5)]
    claims = repository()
    async with database.transaction() as connection:
        await claims.stage(connection, [staging(chunk) for chunk in chunks])
    async with database.connection() as connection:
        taken = await claims.claim_chunks(connection, Lane.BULK, "demo", route=ROUTE, room=100)
        assert [(each.chunk_id, each.ordinals) for each in taken] == [
            (chunks[0].chunk_id, range(40)),
            (chunks[1].chunk_id, range(30)),
        ]
        assert chunk_from(taken[0].body or b"") == chunks[0]
        taken = await claims.claim_chunks(connection, Lane.BULK, "demo", route=ROUTE, room=20)
        assert [(each.chunk_id, each.ordinals) for each in taken] == [(chunks[2].chunk_id, range(20))]
        taken = await claims.claim_chunks(connection, Lane.BULK, "demo", route=ROUTE, room=100)
        assert [each.ordinals for each in taken] == [range(20, 50), range(5)]
        assert await claims.claim_chunks(connection, Lane.BULK, "demo", route=ROUTE, room=100) == []


async def test_only_partitions_of_this_process_are_claimed(database: Database) -> None:
    mine, other = make_chunk(), make_chunk()
    claims = repository()
    async with database.transaction() as connection:
        await claims.stage(connection, [staging(other, partition=1), staging(mine, partition=2)])
    async with database.connection() as connection:
        taken = await claims.claim_chunks(connection, Lane.BULK, "demo", route=ROUTE, room=100, partitions=[2, 3])
    assert [each.chunk_id for each in taken] == [mine.chunk_id]


async def test_eight_claimers_leave_no_gap_and_no_overlap(database: Database) -> None:
    random.seed(7)
    chunks = [make_chunk(random.choice([1, 60, 500])) for _ in range(60)]
    async with database.transaction() as connection:
        await repository().stage(connection, [staging(chunk) for chunk in chunks])
    seen: Counter[tuple[UUID, int]] = Counter()

    async def claim(window: int) -> None:
        claims, empty = repository(str(window)), 0
        while empty < 3:
            async with database.connection() as connection:
                taken = await claims.claim_chunks(connection, Lane.BULK, "demo", route=ROUTE, room=window)
            empty = 0 if taken else empty + 1
            seen.update((each.chunk_id, ordinal) for each in taken for ordinal in each.ordinals)

    await asyncio.gather(*(claim(window) for window in (16, 64, 100, 200, 333, 500, 700, 1000)))
    assert set(seen) == {(chunk.chunk_id, n) for chunk in chunks for n in range(len(chunk.addresses))}
    assert set(seen.values()) == {1}


async def test_who_waits_is_listed_by_lane_and_tenant(database: Database) -> None:
    claims = repository()
    async with database.transaction() as connection:
        for tenant, lane in (("b", Lane.BULK), ("a", Lane.BULK), ("b", Lane.URGENT), ("b", Lane.BULK)):
            await claims.stage(connection, [staging(make_chunk(tenant=tenant, lane=lane))])
        other = ClaimRepository(Channel.VIBER, Owner("1", uuid4()))
        await other.stage(connection, [staging(make_chunk(tenant="c"))])
    async with database.connection() as connection:
        waiting = await claims.waiting(connection)
    assert {(each.lane, each.tenant, each.exceptions) for each in waiting} == {
        (Lane.BULK, "a", False),
        (Lane.BULK, "b", False),
        (Lane.URGENT, "b", False),
    }


async def claim_one(database: Database, claims: ClaimRepository, size: int = 3, lane: Lane = Lane.BULK) -> Claimed:
    async with database.transaction() as connection:
        await claims.stage(connection, [staging(make_chunk(size, lane=lane))])
        (claimed,) = await claims.claim_chunks(connection, lane, "demo", route=ROUTE, room=1000)
    return claimed


async def test_a_recorded_window_keeps_its_event_and_its_exceptions(database: Database) -> None:
    claims = repository()
    window = window_of(await claim_one(database, claims))
    window.outcomes = [Accepted("a"), Transient("busy"), Permanent("bad number")]
    async with database.transaction() as connection:
        assert await RECORDS.record(connection, [result(window)]) == {window.claim_id: False}
    assert await rows(database, "SELECT ordinal, state, attempts, maybe_sent, claim_id FROM dispatch.item") == [
        (1, "retry", 1, False, None)
    ]
    assert await rows(database, "SELECT state FROM dispatch.claim") == [("done",)]


async def test_a_lost_lease_writes_nothing(database: Database) -> None:
    claims = repository()
    window = window_of(await claim_one(database, claims), Transient("busy"))
    async with database.transaction() as connection:
        await connection.execute("UPDATE dispatch.claim SET state = 'lost'")
        assert await RECORDS.record(connection, [result(window)]) == {}
    assert await rows(database, "SELECT count(*) FROM dispatch.item") == [(0,)]
    assert await rows(database, "SELECT result FROM dispatch.claim") == [(None,)]


async def test_exceptions_are_claimed_when_due_and_forgotten_when_settled(database: Database) -> None:
    claims = repository()
    window = window_of(await claim_one(database, claims), Ambiguous("no answer"))
    async with database.transaction() as connection:
        await RECORDS.record(connection, [result(window)])
        (again,) = await claims.claim_items(connection, Lane.BULK, "demo", route=ROUTE, room=2)
        assert again.ordinals == [0, 1]
        assert [tuple(each) for each in again.earlier] == [(1, True, False)] * 2
        (rest,) = await claims.claim_items(connection, Lane.BULK, "demo", route=ROUTE, room=10)
        assert rest.ordinals == [2]
        assert await claims.claim_items(connection, Lane.BULK, "demo", route=ROUTE, room=10) == []
    second = window_of(again)
    second.outcomes = [Accepted("a"), Transient("busy")]
    async with database.transaction() as connection:
        await RECORDS.record(connection, [result(second), result(window_of(rest))])
    assert await rows(database, "SELECT ordinal, state, attempts, maybe_sent, claim_id FROM dispatch.item") == [
        (1, "retry", 2, True, None)
    ]


async def test_what_is_not_due_waits(database: Database) -> None:
    claims = repository()
    window = window_of(await claim_one(database, claims), Transient("busy"))
    later = result_of(window, finished_at=NOON, now=0.0, held_for=0.0, random=lambda: 0.99)
    async with database.transaction() as connection:
        await RECORDS.record(connection, [later])
        assert await claims.claim_items(connection, Lane.BULK, "demo", route=ROUTE, room=10) == []
        assert await claims.waiting(connection) == []
        await connection.execute("UPDATE dispatch.item SET due_at = now() - interval '1 second'")
        assert [each.exceptions for each in await claims.waiting(connection)] == [True]


async def test_two_claimers_never_take_the_same_exception(database: Database) -> None:
    claims = repository()
    window = window_of(await claim_one(database, claims, 300), Transient("busy"))
    async with database.transaction() as connection:
        await RECORDS.record(connection, [result(window)])
    seen: Counter[int] = Counter()

    async def claim() -> None:
        while True:
            async with database.connection() as connection:
                taken = await claims.claim_items(connection, Lane.BULK, "demo", route=ROUTE, room=17)
            if not taken:
                return
            seen.update(ordinal for each in taken for ordinal in each.ordinals)

    await asyncio.gather(*(claim() for _ in range(6)))
    assert seen == Counter(range(300))


async def test_a_restart_settles_what_the_earlier_life_held(database: Database) -> None:
    earlier, other = repository("1"), repository("2")
    mine = await claim_one(database, earlier, 4)
    await claim_one(database, other, 2)
    upkeep = UpkeepRepository(Channel.SMS, Owner("1", uuid4()))
    async with database.connection() as connection:
        assert await upkeep.settle_earlier(connection) == 1
        assert await upkeep.settle_earlier(connection) == 0
        (again,) = await repository("1").claim_items(connection, Lane.BULK, "demo", route=ROUTE, room=10)
    assert (again.chunk_id, again.ordinals) == (mine.chunk_id, [0, 1, 2, 3])
    assert {tuple(each) for each in again.earlier} == {(1, True, False)}


async def test_claims_whose_lease_ended_become_exceptions_again_and_again(database: Database) -> None:
    claims, upkeep = repository(), UpkeepRepository(Channel.SMS, Owner("9", uuid4()))
    await claim_one(database, claims, 2)
    for attempts in (1, 2, 3):
        async with database.connection() as connection:
            assert await upkeep.settle_expired(connection) == 0
            await connection.execute("UPDATE dispatch.claim SET lease_until = now() - interval '1 second'")
            assert await upkeep.settle_expired(connection) == 1
            (again,) = await claims.claim_items(connection, Lane.BULK, "demo", route=ROUTE, room=10)
        assert [tuple(each) for each in again.earlier] == [(attempts, True, False)] * 2


async def test_what_was_recorded_and_not_reported_is_taken_up_once(database: Database) -> None:
    claims, upkeep = repository(), UpkeepRepository(Channel.SMS, Owner("9", uuid4()))
    recorded = result(window_of(await claim_one(database, claims)))
    async with database.connection() as connection:
        await RECORDS.record(connection, [recorded])
        assert await upkeep.take_unreported(connection) == []  # its owner has time to do it
        await connection.execute("UPDATE dispatch.claim SET lease_until = now() - interval '1 second'")
        (taken,) = await upkeep.take_unreported(connection)
        assert taken.event == recorded.event
        assert await upkeep.take_unreported(connection) == []
        assert recorded.event is not None
        await RECORDS.mark_reported(connection, [recorded.event.claim_id])
    assert await rows(database, "SELECT state FROM dispatch.claim") == [("reported",)]


async def test_words_and_addresses_go_when_all_is_over_and_rows_when_no_replay_can_come(database: Database) -> None:
    claims, upkeep = repository(), UpkeepRepository(Channel.SMS, Owner("9", uuid4()))
    over = result(window_of(await claim_one(database, claims)))
    retried = result(window_of(await claim_one(database, claims), Transient("busy")))
    await claim_one(database, claims)  # still held
    async with database.transaction() as connection:
        await RECORDS.record(connection, [over, retried])
        await RECORDS.mark_reported(connection, [over.window.claim_id, retried.window.claim_id])
        await upkeep.forget(connection)
        assert await connection.fetchval("SELECT count(*) FROM dispatch.chunk WHERE body IS NULL") == 0
        await connection.execute("UPDATE dispatch.chunk SET staged_at = staged_at - interval '2 hours'")
        await upkeep.forget(connection)
        bare = [
            row["chunk_id"] for row in await connection.fetch("SELECT chunk_id FROM dispatch.chunk WHERE body IS NULL")
        ]
        assert bare == [over.window.chunk.chunk_id]
        await connection.execute("UPDATE dispatch.chunk SET staged_at = staged_at - interval '15 days'")
        await upkeep.forget(connection)
        assert await connection.fetchval("SELECT count(*) FROM dispatch.chunk") == 2
        assert await connection.fetchval("SELECT count(*) FROM dispatch.claim") == 3  # their ids are of today


async def test_two_tenants_never_see_each_other(database: Database) -> None:
    claims = repository()
    chunks = {tenant: make_chunk(5, tenant=tenant) for tenant in ("a", "b")}
    async with database.transaction() as connection:
        await claims.stage(connection, [staging(chunk) for chunk in chunks.values()])
        for tenant, chunk in chunks.items():
            taken = await claims.claim_chunks(connection, Lane.BULK, tenant, route=ROUTE, room=100)
            assert [each.chunk_id for each in taken] == [chunk.chunk_id]
