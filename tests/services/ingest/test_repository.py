"""Ingest's SQL on real Postgres."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from libs.contracts.content import SmsContent
from libs.contracts.notification import Notification
from libs.storage import Database
from services.ingest.accepting import Blob, Entry, body_hash
from services.ingest.repository import ContentRepository, NotificationRepository, Standing
from tests.services.ingest.making import NOT_AN_ID, TRACEPARENT, notification

pytestmark = pytest.mark.postgres
REPOSITORY = NotificationRepository()
CONTENT = ContentRepository()
OTHER_CAUSE = UUID(int=7)


def entry(one: Notification | None = None, **changes: Any) -> Entry:
    one = one or notification()
    values: dict[str, Any] = {
        "notification": one,
        "tenant": "demo",
        "request_id": None,
        "body_hash": body_hash(one),
        "dialect": "native",
        "command_id": NOT_AN_ID,
        "traceparent": TRACEPARENT,
    }
    return Entry(**{**values, **changes})


async def store(database: Database, *entries: Entry) -> Standing:
    async with database.transaction() as connection:
        return await REPOSITORY.store(connection, entries)


async def test_nothing_asks_nothing(database: Database) -> None:
    assert await store(database) == Standing()


async def test_what_is_read_back_is_what_was_stored(database: Database) -> None:
    one, other = entry(notification(at=datetime.now(UTC) + timedelta(days=1))), entry(request_id="order-7")
    first = await store(database, one, other)
    again = await store(database, one, entry(request_id="order-7", command_id=OTHER_CAUSE))
    assert first.fresh == {one.notification_id, other.notification_id}
    assert (again.by_id, again.by_request, again.fresh) == (first.by_id, first.by_request, set())
    assert [stored.waits for stored in first.by_id.values()] == [True, False]


async def test_the_first_of_a_batch_is_stored(database: Database) -> None:
    one, other = entry(request_id="order-7"), entry(notification(content=SmsContent(text="x")), request_id="order-7")
    standing = await store(database, one, other)
    assert standing.fresh == {one.notification_id}
    assert standing.by_request["demo", "order-7"].body_hash == one.body_hash


async def test_two_tenants_may_use_one_request_id(database: Database) -> None:
    standing = await store(database, entry(request_id="order-7"), entry(request_id="order-7", tenant="other"))
    assert set(standing.by_request) == {("demo", "order-7"), ("other", "order-7")}
    assert len(standing.fresh) == 2


async def test_another_tenant_s_notification_is_not_found(database: Database) -> None:
    one = entry()
    await store(database, one)
    theirs = await store(database, entry(one.notification, tenant="other"))
    assert (theirs.by_id, theirs.fresh) == ({}, set())


async def test_two_at_once_store_one_and_both_find_it(database: Database) -> None:
    entries = [entry(request_id="order-7") for _ in range(4)]
    found = await asyncio.gather(*(store(database, one) for one in entries))
    assert sum(len(standing.fresh) for standing in found) == 1
    assert len({standing.by_request["demo", "order-7"].notification_id for standing in found}) == 1


async def test_what_is_withdrawn_was_never_there(database: Database) -> None:
    one, other = entry(), entry()
    async with database.transaction() as connection:
        await REPOSITORY.store(connection, [one, other])
        await REPOSITORY.withdraw(connection, [one.notification_id])
    again = await store(database, one, other)
    assert again.fresh == {one.notification_id}


def blob(body: bytes, tenant: str = "demo") -> Blob:
    return Blob(tenant, hashlib.sha256(body).hexdigest(), body)


async def test_a_body_is_kept_once_and_for_one_tenant(database: Database) -> None:
    one = blob(b"\0\xff" * 100)
    async with database.transaction() as connection:
        assert await CONTENT.put(connection, [one, one]) == 1
        assert await CONTENT.put(connection, [one, blob(b"b")]) == 1
        assert await CONTENT.get(connection, "demo", one.sha256) == one.body
        assert await CONTENT.get(connection, "other", one.sha256) is None


async def test_only_what_is_kept_can_be_named(database: Database) -> None:
    ours, theirs, none = blob(b"a"), blob(b"b", "other"), blob(b"c")
    async with database.transaction() as connection:
        await CONTENT.put(connection, [ours, theirs])
        wanted = {("demo", one.sha256) for one in (ours, theirs, none)}
        assert await CONTENT.name(connection, wanted) == {("demo", ours.sha256)}
        first = await connection.fetchval("SELECT named_at FROM ingest.content WHERE tenant = 'demo'")
    async with database.transaction() as connection:
        await CONTENT.name(connection, wanted)
        assert await connection.fetchval("SELECT named_at FROM ingest.content WHERE tenant = 'demo'") == first
