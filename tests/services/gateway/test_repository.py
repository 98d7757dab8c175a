"""The repository suite: the same for the one in memory and for Postgres, so that the double cannot drift."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from libs.contracts.ids import NotificationId
from libs.storage import Database, migrate
from libs.wire import HttpResponse
from services.gateway.authorization import Tenant
from services.gateway.idempotency import Claim, Settlement
from services.gateway.repository import GatewayRepository
from services.gateway.schema import MIGRATIONS
from tests.services.gateway.doubles import CREDENTIALS, OTHER, TENANT, MemoryRepository

ANSWER = HttpResponse(202, {"content-type": "application/json", "location": "/x"}, b'{"id":"\xd1\x8f"}')


class InPostgres(GatewayRepository):
    """The real one, with a hand on its records' clock."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._behind = database

    async def age(self, seconds: float) -> None:
        async with self._behind.connection() as connection:
            await connection.execute(
                "UPDATE gateway.idempotency SET claimed_at = claimed_at - $1::interval, "
                "created_at = created_at - $1::interval",
                timedelta(seconds=seconds),
            )


class InMemory(MemoryRepository):
    async def age(self, seconds: float) -> None:  # type: ignore[override]
        super().age(seconds)


@asynccontextmanager
async def migrated(dsn: str) -> AsyncIterator[Database]:
    database = await Database.connect(dsn, service="gateway")
    try:
        await migrate(database, schema="gateway", folder=MIGRATIONS)
        yield database
    finally:
        await database.close()


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[Database]:
    async with migrated(postgres) as database:
        yield database


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.postgres)])
def dsn(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("postgres") if request.param == "postgres" else None


@pytest.fixture
async def repository(dsn: str | None) -> AsyncIterator[Any]:
    if dsn is None:
        yield InMemory()
        return
    async with migrated(dsn) as database:
        stored = InPostgres(database)
        for tenant in (TENANT, OTHER):
            await stored.put(tenant, [one for one in CREDENTIALS if one.tenant == tenant])
        yield stored


def claim(key: str = "k", *, body: bytes = b"b", tenant: str = "demo") -> Claim:
    return Claim(tenant, "native.post", key, body * 32, uuid4(), (NotificationId(uuid4()), NotificationId(uuid4())))


async def one(repository: Any, asked: Claim) -> Any:
    (record,) = await repository.claim([asked])
    return record


async def test_credentials_come_back_as_they_were_put(repository: Any) -> None:
    found = await repository.credentials([one.prefix for one in CREDENTIALS] + ["nobody"])
    assert found == {one.prefix: one for one in CREDENTIALS}


async def test_a_free_key_goes_to_its_claim(repository: Any) -> None:
    asked = claim()
    record = await one(repository, asked)
    assert (record.claim, record.ids, record.fingerprint) == (asked.claim, asked.ids, asked.fingerprint)
    assert record.response is None


async def test_a_held_key_stays_with_its_claim_for_five_seconds(repository: Any) -> None:
    first, second = claim(), claim()
    await repository.claim([first])
    await repository.age(4)
    record = await one(repository, second)
    assert (record.claim, record.ids) == (first.claim, first.ids)


async def test_an_old_claim_is_taken_over_once_with_the_stored_ids(repository: Any) -> None:
    first, second, third = claim(), claim(), claim()
    await repository.claim([first])
    await repository.age(6)
    record = await one(repository, second)
    assert (record.claim, record.ids) == (second.claim, first.ids)
    assert (await one(repository, third)).claim == second.claim


async def test_another_body_takes_nothing_over(repository: Any) -> None:
    first = claim()
    await repository.claim([first])
    await repository.age(6)
    record = await one(repository, claim(body=b"x"))
    assert (record.claim, record.fingerprint) == (first.claim, first.fingerprint)


async def test_an_answer_is_kept_byte_by_byte(repository: Any) -> None:
    first = claim()
    await repository.claim([first])
    await repository.settle([Settlement(first, ANSWER)])
    await repository.age(6)
    record = await one(repository, claim())
    assert (record.claim, record.response) == (first.claim, ANSWER)


async def test_a_failed_attempt_makes_way_at_once(repository: Any) -> None:
    first, second = claim(), claim()
    await repository.claim([first])
    await repository.settle([Settlement(first, None)])
    record = await one(repository, second)
    assert (record.claim, record.ids) == (second.claim, first.ids)


async def test_who_lost_the_key_settles_nothing(repository: Any) -> None:
    first, second = claim(), claim()
    await repository.claim([first])
    await repository.age(6)
    await repository.claim([second])
    await repository.settle([Settlement(first, ANSWER)])
    record = await one(repository, claim())
    assert (record.claim, record.response) == (second.claim, None)


async def test_an_answer_is_never_replaced(repository: Any) -> None:
    first = claim()
    await repository.claim([first])
    await repository.settle([Settlement(first, ANSWER)])
    await repository.settle([Settlement(first, replace(ANSWER, status=201))])
    assert (await one(repository, claim())).response == ANSWER


async def test_after_fifteen_days_a_key_makes_a_new_request(repository: Any) -> None:
    first, second = claim(), claim(body=b"x")
    await repository.claim([first])
    await repository.settle([Settlement(first, ANSWER)])
    await repository.age(14.9 * 86400)
    assert (await one(repository, claim())).response == ANSWER
    await repository.age(0.2 * 86400)
    record = await one(repository, second)
    assert (record.claim, record.ids, record.response) == (second.claim, second.ids, None)


async def test_many_keys_in_one_round_trip(repository: Any) -> None:
    held = claim("k5")
    await repository.claim([held])
    asked = [claim(f"k{number}") for number in range(10)]
    records = await repository.claim(asked)
    assert [record.claim for record in records] == [
        *(one.claim for one in asked[:5]),
        held.claim,
        *(one.claim for one in asked[6:]),
    ]
    await repository.settle(
        [Settlement(one, ANSWER if position % 2 else None) for position, one in enumerate(asked[:4])]
    )
    again = [claim(f"k{number}") for number in range(4)]
    records = await repository.claim(again)
    assert [record.response for record in records] == [None, ANSWER, None, ANSWER]


async def test_tenants_and_calls_have_keys_of_their_own(repository: Any) -> None:
    ours, theirs = claim(), claim(tenant="other")
    elsewhere = replace(claim(), route="altegio.sms")
    records = await repository.claim([ours, theirs, elsewhere])
    assert [record.claim for record in records] == [ours.claim, theirs.claim, elsewhere.claim]


@pytest.mark.postgres
async def test_gateways_with_the_same_keys_neither_both_win_nor_wait_in_a_circle(database: Database) -> None:
    repository = GatewayRepository(database)
    keys = [f"k{number}" for number in range(50)]

    async def gateway(order: list[str]) -> list[tuple[str, bool]]:
        asked = [claim(key) for key in order]
        records = await repository.claim(asked)
        won = [one for one, record in zip(asked, records, strict=True) if record.claim == one.claim]
        if won:
            await repository.settle([Settlement(one, ANSWER) for one in reversed(won)])
        return [(one.key, one in won) for one in asked]

    for round_number in range(10):
        names = [f"{key}.{round_number}" for key in keys]
        results = await asyncio.gather(*(gateway(names if number % 2 else names[::-1]) for number in range(4)))
        winners = [key for result in results for key, won in result if won]
        assert sorted(winners) == sorted(names)


@pytest.mark.postgres
async def test_old_records_are_forgotten(database: Database) -> None:
    repository = InPostgres(database)
    await repository.claim([claim("old")])
    await repository.age(15.1 * 86400)
    await repository.claim([claim("new")])
    assert not await repository.forget_expired()
    async with database.connection() as connection:
        assert await connection.fetch("SELECT key FROM gateway.idempotency") == [("new",)]


@pytest.mark.postgres
async def test_putting_again_changes_nothing_but_what_is_new(database: Database) -> None:
    repository = GatewayRepository(database)
    ours = [one for one in CREDENTIALS if one.tenant == TENANT]
    await repository.put(TENANT, ours)
    assert (await repository.credentials(["key_test"]))["key_test"].tenant == TENANT
    await repository.put(Tenant("demo", frozenset({"location/3"}), 500), ours)
    found = await repository.credentials(["key_test"])
    assert found["key_test"].tenant == Tenant("demo", TENANT.resources | {"location/3"}, 500)
    with pytest.raises(LookupError):
        await repository.put(OTHER, ours[:1])


@pytest.mark.postgres
async def test_what_is_revoked_stays_revoked(database: Database) -> None:
    repository = GatewayRepository(database)
    ours = [one for one in CREDENTIALS if one.tenant == TENANT]
    await repository.put(TENANT, ours)
    assert not await repository.revoke("other", "key_test")
    assert await repository.revoke("demo", "key_test")
    await repository.put(TENANT, ours)
    assert "key_test" not in await repository.credentials(["key_test", "altp_test"])
    assert not await repository.revoke("demo", "nobody")
