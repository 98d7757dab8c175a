"""One key, one notification: whatever arrives at the same time, at whichever gateway."""

import asyncio
from collections import Counter
from typing import Any
from uuid import uuid4

import pytest

from libs.contracts.ids import NotificationId
from libs.storage import Database, migrate
from libs.wire import HttpRequest, HttpResponse, Problem
from services.gateway.idempotency import Claim, Record, fingerprint, judge, key_of
from services.gateway.repository import GatewayRepository
from services.gateway.schema import MIGRATIONS
from tests.services.gateway.doubles import CREDENTIALS, NATIVE, TENANT, Platform

BODY = {"channel": "sms", "to": {"client_ids": [1]}, "content": {"text": "hi"}}
MINE = Claim("demo", "native.post", "k", b"f" * 32, uuid4(), (NotificationId(uuid4()),))
STORED = (NotificationId(uuid4()),)
ANSWER = HttpResponse(202, {"location": "/x"}, b"{}")


def test_who_holds_the_key_goes_on_with_the_stored_ids() -> None:
    held = judge(MINE, Record(MINE.claim, MINE.fingerprint, STORED, None))
    assert isinstance(held, Claim)
    assert (held.claim, held.ids) == (MINE.claim, STORED)


def test_what_was_answered_is_answered_again() -> None:
    answer = judge(MINE, Record(uuid4(), MINE.fingerprint, STORED, ANSWER))
    assert answer == HttpResponse(202, {"location": "/x", "Idempotent-Replayed": "true"}, b"{}")


@pytest.mark.parametrize(
    ("record", "status"),
    [
        (Record(uuid4(), MINE.fingerprint, STORED, None), 409),
        (Record(uuid4(), b"x" * 32, STORED, None), 422),
        (Record(uuid4(), b"x" * 32, STORED, ANSWER), 422),
    ],
)
def test_who_does_not_hold_it_is_told_why(record: Record, status: int) -> None:
    with pytest.raises(Problem) as caught:
        judge(MINE, record)
    assert caught.value.status == status
    assert ("Retry-After" in caught.value.headers) == (status == 409)


def test_what_makes_two_requests_the_same() -> None:
    request = HttpRequest("POST", "/a", {"x": "1"}, {"q": "1"}, b"body")
    base = fingerprint(request, {"id": "1"})
    assert fingerprint(HttpRequest("POST", "/b", {"x": "2"}, {"q": "1"}, b"body"), {"id": "1"}) == base
    for other, segments in (
        (HttpRequest("POST", "/a", {}, {"q": "1"}, b"body "), {"id": "1"}),
        (HttpRequest("POST", "/a", {}, {"q": "2"}, b"body"), {"id": "1"}),
        (HttpRequest("POST", "/a", {}, {}, b"body"), {"id": "1"}),
        (HttpRequest("POST", "/a", {}, {"id": "1"}, b"body"), {"q": "1"}),
        (HttpRequest("POST", "/a", {}, {"q": "1"}, b"body"), {"id": "2"}),
    ):
        assert fingerprint(other, segments) != base


@pytest.mark.parametrize("key", ["", "k" * 256, "a\tb", "ключ", "a\0", "\udcff"])
def test_keys_that_cannot_be_kept(key: str) -> None:
    with pytest.raises(Problem) as caught:
        key_of(HttpRequest("POST", headers={"idempotency-key": key}))
    assert caught.value.status == 400


@pytest.mark.parametrize("key", ["k", "k" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "a b"])
def test_keys_that_can(key: str) -> None:
    assert key_of(HttpRequest("POST", headers={"idempotency-key": key})) == key


@pytest.mark.postgres
async def test_fifty_at_once_on_four_gateways_are_one_notification(postgres: str, connect: Any) -> None:
    behind = Platform()
    databases = [await Database.connect(postgres, service="gateway") for _ in range(4)]
    await migrate(databases[0], schema="gateway", folder=MIGRATIONS)
    await GatewayRepository(databases[0]).put(TENANT, [one for one in CREDENTIALS if one.tenant == TENANT])
    gateways = [await connect(behind.app(GatewayRepository(database))) for database in databases]
    behind.intake.wait = asyncio.Event()

    async def call(number: int) -> tuple[int, bytes, str | None]:
        headers = NATIVE | {"Idempotency-Key": "the same"}
        async with gateways[number % 4].post("/notifications", json=BODY, headers=headers) as response:
            body = await response.read()
            return response.status, body, response.headers.get("Idempotent-Replayed")

    calls = [asyncio.create_task(call(number)) for number in range(50)]
    while sum(one.done() for one in calls) < 49:
        await asyncio.sleep(0.01)
    behind.intake.wait.set()
    answers = await asyncio.gather(*calls)
    assert Counter(status for status, _, _ in answers) == {202: 1, 409: 49}
    (first,) = (body for status, body, _ in answers if status == 202)
    assert set(await asyncio.gather(*(call(number) for number in range(50)))) == {(202, first, "true")}
    assert len(behind.intake.accepted) == 1
    for database in databases:
        await database.close()


@pytest.mark.postgres
async def test_different_keys_do_not_wait_for_each_other(postgres: str, connect: Any) -> None:
    behind = Platform()
    database = await Database.connect(postgres, service="gateway")
    await migrate(database, schema="gateway", folder=MIGRATIONS)
    await GatewayRepository(database).put(TENANT, [one for one in CREDENTIALS if one.tenant == TENANT])
    gateway = await connect(behind.app(GatewayRepository(database)))

    async def call(number: int) -> int:
        headers = NATIVE | {"Idempotency-Key": f"key {number}"}
        async with gateway.post("/notifications", json=BODY, headers=headers) as response:
            assert response.status == 202
            return response.status

    await asyncio.gather(*(call(number) for number in range(100)))
    commands = behind.intake.commands
    assert len({command.notifications[0].notification_id for command in commands}) == 100
    await database.close()
