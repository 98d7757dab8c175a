"""Money: reserved with the claim, settled with the record, never more than there is."""

import asyncio
import random
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from libs.contracts.content import SmsContent, WebhookContent
from libs.contracts.outcomes import Accepted, Ambiguous, Outcome, Permanent, Throttled, Transient
from libs.contracts.routing import Channel, Lane
from libs.storage import Connection, Database
from services.dispatchers.funds import segments_if_charged, segments_of
from services.dispatchers.repository import (
    Account,
    AccountRepository,
    Claimed,
    ClaimRepository,
    EndingRepository,
    Owner,
    RecordRepository,
    UpkeepRepository,
    chunk_from,
)
from services.dispatchers.results import result_of
from services.dispatchers.retrying import Unsent
from services.dispatchers.staging import Staging
from services.dispatchers.windows import Window
from tests.services.dispatchers.making import NOON, make_chunk

pytestmark = pytest.mark.postgres

PRICE = 50
OWNER = Owner("1", uuid4())
LOSE_SOME = """
UPDATE dispatch.claim SET lease_until = now() - interval '1 s' WHERE claim_id IN (
    SELECT claim_id FROM dispatch.claim WHERE state = 'held' AND random() < 0.3 FOR UPDATE SKIP LOCKED)
"""
CLAIMS = ClaimRepository(Channel.SMS, OWNER, price=PRICE)
RECORDS = RecordRepository()
ENDINGS = EndingRepository(Channel.SMS, OWNER, price=PRICE)
ACCOUNTS = AccountRepository()


def test_an_sms_costs_its_segments_and_anything_else_is_one() -> None:
    chunk = make_chunk()
    long = chunk.model_copy(update={"content": SmsContent(text="ż" * 71)})
    hook = chunk.model_copy(update={"content": WebhookContent(body="{}" * 999)})
    assert [segments_of(each) for each in (chunk, long, hook)] == [1, 2, 1]
    assert [segments_if_charged(price)(long) for price in (0, 5)] == [1, 2]


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    async with database.connection() as opened:
        yield opened


async def stage(connection: Connection, *sizes: int, segments: int = 1, take: bool = False) -> None:
    chunks = [make_chunk(size) for size in sizes]
    stagings = [Staging(chunk, 0, None, len(chunk.addresses) * take, "one", segments) for chunk in chunks]
    await CLAIMS.stage(connection, stagings)


async def claim(connection: Connection, room: int = 1000) -> list[Claimed]:
    chunks = await CLAIMS.claim_chunks(connection, Lane.BULK, "demo", route="one", room=room)
    return [*chunks, *await CLAIMS.claim_items(connection, Lane.BULK, "demo", route="one", room=room)]


def window_of(claimed: Claimed, *outcomes: Outcome | Unsent) -> Window:
    assert claimed.body is not None
    earlier = dict(zip(claimed.ordinals, claimed.earlier, strict=False))
    chunk = chunk_from(claimed.body)
    window = Window(
        claimed.claim_id, chunk, claimed.ordinals, 1e9, 1e9, earlier=earlier, route=claimed.route, cost=claimed.cost
    )
    window.settle(0, (outcomes * len(claimed.ordinals))[: len(claimed.ordinals)])
    return window


async def record(connection: Connection, claimed: Claimed, *outcomes: Outcome | Unsent) -> None:
    window = window_of(claimed, *outcomes)
    result = result_of(window, finished_at=NOON, now=0.0, held_for=0.0, random=lambda: 0.0)
    assert list(await RECORDS.record(connection, [result])) == [claimed.claim_id]


async def account(connection: Connection) -> tuple[int, int, int]:
    found = await ACCOUNTS.find(connection, "demo")
    assert found is not None
    assert found.balance + found.reserved + found.spent == found.topped_up
    assert min(found.balance, found.reserved, found.spent) >= 0
    return found.balance, found.reserved, found.spent


async def top_up(connection: Connection, amount: int) -> None:
    assert await ACCOUNTS.top_up(connection, "demo", amount, "EUR")


async def test_an_account_begins_with_its_first_money_and_keeps_its_currency(connection: Connection) -> None:
    assert await ACCOUNTS.find(connection, "demo") is None
    assert await ACCOUNTS.top_up(connection, "demo", 7, "EUR") == Account("demo", "EUR", 7, 7, 0, 0)
    assert await ACCOUNTS.top_up(connection, "demo", 5, "PLN") is None
    assert await ACCOUNTS.top_up(connection, "demo", 5, "EUR") == Account("demo", "EUR", 12, 12, 0, 0)


async def test_who_has_no_account_pays_nothing(connection: Connection) -> None:
    await stage(connection, 3, take=True)
    await stage(connection, 2)
    (claimed,) = await claim(connection)
    assert claimed.cost == 0
    assert await connection.fetchval("SELECT sum(reserved) FROM dispatch.claim") == 0


async def test_a_metered_tenant_is_never_claimed_as_it_is_staged(connection: Connection) -> None:
    await top_up(connection, 1000)
    await stage(connection, 3, take=True)
    assert await connection.fetchval("SELECT count(*) FROM dispatch.claim") == 0


async def test_a_claim_reserves_and_what_did_not_leave_is_given_back(connection: Connection) -> None:
    await top_up(connection, 1000)
    await stage(connection, 6, segments=2)
    (claimed,) = await claim(connection)
    assert claimed.cost == 100
    assert await account(connection) == (400, 600, 0)
    outcomes = [Accepted("1"), Transient("busy"), Permanent("no"), Ambiguous("?"), Throttled("slow"), Unsent.DEFERRED]
    await record(connection, claimed, *outcomes)
    assert await account(connection) == (800, 0, 200)
    paid = "SELECT ordinal, segments FROM dispatch.item ORDER BY ordinal"
    assert [tuple(row) for row in await connection.fetch(paid)] == [(1, 2), (3, 0), (4, 2), (5, 2)]


async def test_what_may_have_been_sent_is_not_paid_again(connection: Connection) -> None:
    await top_up(connection, 200)
    await stage(connection, 4)
    (claimed,) = await claim(connection)
    await record(connection, claimed, Ambiguous("?"), Transient("busy"))
    assert await account(connection) == (100, 0, 100)
    (again,) = await claim(connection)
    assert [before.paid for before in again.earlier] == [True, False, True, False]
    assert await account(connection) == (0, 100, 100)
    await record(connection, again, Transient("busy"), Accepted("x"))
    assert await account(connection) == (0, 0, 200)
    (last,) = await claim(connection)
    assert (last.ordinals, last.cost) == ([0, 2], 0)


async def test_no_more_is_claimed_than_can_be_paid_for(connection: Connection) -> None:
    await top_up(connection, 9 * PRICE + 49)
    await stage(connection, 4, 4, 4)
    assert [len(each.ordinals) for each in await claim(connection)] == [4, 4]
    assert [len(each.ordinals) for each in await claim(connection)] == [1]
    assert await claim(connection) == []
    assert await account(connection) == (49, 9 * PRICE, 0)


async def test_exceptions_are_paid_for_as_long_as_the_money_lasts_and_paid_ones_come_first(
    connection: Connection,
) -> None:
    await top_up(connection, 4 * PRICE)
    await stage(connection, 4)
    (claimed,) = await claim(connection)
    await record(connection, claimed, Transient("busy"), Transient("busy"), Transient("busy"), Ambiguous("?"))
    await connection.execute("UPDATE dispatch.item SET due_at = now() - interval '1 s' * ordinal - interval '9 s'")
    await connection.execute("UPDATE dispatch.account SET balance = 50, spent = 150")
    (again,) = await claim(connection)
    assert again.ordinals == [2, 3]


async def test_without_enough_for_the_next_message_what_waits_ends(connection: Connection) -> None:
    await top_up(connection, 2 * PRICE)
    await stage(connection, 4)
    await stage(connection, 2)
    (claimed,) = await claim(connection)
    assert await ENDINGS.take(connection, chunks=10, items=10) == []  # what is on its way may come back
    await record(connection, claimed, Accepted("x"), Transient("busy"))
    assert await account(connection) == (PRICE, 0, PRICE)
    assert await ENDINGS.take(connection, chunks=10, items=10) == []
    *_, again = await claim(connection)
    await record(connection, again, Accepted("x"))
    assert await ENDINGS.is_any(connection)
    taken = await ENDINGS.take(connection, chunks=10, items=10)
    assert {each.verdict for each in taken} == {Unsent.NO_FUNDS}
    assert sum(len(each.ordinals) for each in taken) == 4


async def test_a_top_up_lets_the_rest_go(connection: Connection) -> None:
    await top_up(connection, 0)
    await stage(connection, 4)
    assert await claim(connection) == []
    await top_up(connection, 1000)
    assert [len(each.ordinals) for each in await claim(connection)] == [4]
    assert await ENDINGS.take(connection, chunks=10, items=10) == []


async def test_a_lost_claim_stays_paid(connection: Connection) -> None:
    await top_up(connection, 4 * PRICE)
    await stage(connection, 4)
    await claim(connection)
    upkeep = UpkeepRepository(Channel.SMS, Owner("1", uuid4()))
    assert await upkeep.settle_earlier(connection) == 1
    assert await account(connection) == (0, 0, 4 * PRICE)
    (again,) = await claim(connection)
    await record(connection, again, Accepted("x"))
    assert await account(connection) == (0, 0, 4 * PRICE)


async def test_what_is_owned_by_no_one_any_more_cannot_be_settled_twice(connection: Connection) -> None:
    await top_up(connection, 4 * PRICE)
    await stage(connection, 4)
    (claimed,) = await claim(connection)
    await UpkeepRepository(Channel.SMS, Owner("1", uuid4())).settle_earlier(connection)
    result = result_of(
        window_of(claimed, Transient("busy")), finished_at=NOON, now=0.0, held_for=0.0, random=lambda: 0.0
    )
    assert await RECORDS.record(connection, [result]) == {}
    assert await account(connection) == (0, 0, 4 * PRICE)


@pytest.mark.parametrize("seed", range(4))
async def test_money_is_conserved_whatever_happens(database: Database, seed: int) -> None:
    """Claimers, recorders, a sweeper and top-ups at once; the table itself refuses a sum that does not add up."""
    source = random.Random(seed)
    async with database.connection() as connection:
        await top_up(connection, 10_000)
        await stage(connection, *(source.randint(1, 40) for _ in range(20)), segments=source.randint(1, 3))
    outcomes = [Accepted("x"), Accepted("y"), Transient("busy"), Permanent("no"), Ambiguous("?"), Unsent.DEFERRED]
    upkeep = UpkeepRepository(Channel.SMS, Owner("sweeper", uuid4()))

    async def work() -> None:
        for _ in range(15):
            async with database.transaction() as connection:
                taken = await claim(connection, room=source.randint(1, 80))
            for each in taken:
                await asyncio.sleep(0)
                if source.random() < 0.2:
                    continue  # this process dies with it
                window = window_of(each, *source.choices(outcomes, k=len(each.ordinals)))
                async with database.transaction() as connection:
                    result = result_of(window, finished_at=NOON, now=0.0, held_for=0.0, random=lambda: 0.0)
                    await RECORDS.record(connection, [result])

    async def sweep() -> None:
        for _ in range(10):
            async with database.transaction() as connection:
                await connection.execute(LOSE_SOME)
                await upkeep.settle_expired(connection)
                await top_up(connection, source.randint(0, 500))

    await asyncio.gather(work(), work(), work(), sweep())
    async with database.connection() as connection:
        _, reserved, spent = await account(connection)
        held = "SELECT coalesce(sum(reserved), 0) FROM dispatch.claim WHERE state = 'held'"
        cost = "SELECT coalesce(sum(reserved), 0) FROM dispatch.claim WHERE state <> 'held'"
        assert (reserved, spent) == (await connection.fetchval(held), await connection.fetchval(cost))
        assert spent > 0
