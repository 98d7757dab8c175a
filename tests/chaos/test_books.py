"""What is wrong in the databases is seen there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files

import asyncpg
import pytest

from libs.storage import Database, migrate
from tests.chaos.books import Connection, Expected, Place, examine

pytestmark = [pytest.mark.postgres]

ID = "01a20167-bd56-7489-a3e9-406300000000"
BLOCK = "states, details, reasons) VALUES"
# One notification to two, both delivered, as every service has it.
ALL_IS_WELL = f"""
    INSERT INTO audience.page (tenant, notification_id, step, generation, page, first_number, next_number, planned,
                               suppressed, decisions)
    VALUES ('t', '{ID}', 0, 0, 0, 0, 2, 2, 0, '');
    INSERT INTO dispatch.chunk (chunk_id, tenant, notification_id, channel, lane, partition, n, next, open, expires_at)
    VALUES (gen_random_uuid(), 't', '{ID}', 'sms', 'bulk', 0, 2, 2, false, now());
    INSERT INTO dispatch.claim (claim_id, chunk_id, tenant, channel, lo, hi, owner, incarnation, state, lease_until)
    SELECT gen_random_uuid(), chunk_id, 't', 'sms', 0, 2, '1', gen_random_uuid(), 'reported', now() FROM dispatch.chunk;
    INSERT INTO tracker.notification (notification_id, tenant, totals_known, expected_planned, delivered)
    VALUES ('{ID}', 't', true, 2, 2);
    INSERT INTO tracker.block (block_id, tenant, {BLOCK} ('{ID}', 't', '\\x0707', '', '')
"""
LETTER = """
    INSERT INTO tracker.dead_letter (topic, partition, record_offset, header_names, header_values, error_class, reason,
                                     service_version)
    VALUES ('send.sms.bulk', 3, 7, '{}', '{}', 'Unreadable', '', '')
"""
ORPHAN = """
    INSERT INTO tracker.orphan (key, rest, provider, state, code, reported_at, received_at)
    VALUES (1, 2, 'p', 7, '', 0, 0)
"""


CASES = (
    ("UPDATE tracker.notification SET delivered = 1", "do not add up"),
    ("UPDATE tracker.notification SET delivered = 3, queued = -1", "do not add up"),
    ("UPDATE tracker.notification SET totals_known = false", "does not know"),
    ("UPDATE tracker.notification SET delivered = 1, sent = 1", "not what their deliveries say"),
    ("UPDATE tracker.block SET states = '\\x0705'", "not what their deliveries say"),
    ("DELETE FROM tracker.notification", "planned otherwise than tracked"),
    ("UPDATE audience.page SET planned = 1, suppressed = 1", "planned otherwise than tracked"),
    ("DELETE FROM dispatch.chunk", "planned otherwise than staged"),
    ("UPDATE dispatch.chunk SET n = 3", "planned otherwise than staged"),
    ("UPDATE dispatch.claim SET state = 'held', lease_until = now() - interval '1 s'", "beyond their lease"),
    ("UPDATE dispatch.claim SET state = 'held', lease_until = now() + interval '1 h'", "not settled"),
    ("UPDATE dispatch.claim SET state = 'done'", "not reported"),
    ("UPDATE dispatch.chunk SET open = true", "not claimed to their end"),
    (LETTER, "1 dead letters that should not be there"),
    (ORPHAN, "1 receipts that found no delivery"),
)


@pytest.fixture
async def connection(postgres: str) -> AsyncIterator[Connection]:
    """A database in which all is well."""
    for schema, service in (("tracker", "tracker"), ("audience", "audience"), ("dispatch", "dispatchers")):
        database = await Database.connect(postgres, service="chaos-test", max_size=2)
        await migrate(database, schema=schema, folder=files(f"services.{service}") / "migrations")
        await database.close()
    connection = await asyncpg.connect(postgres)
    await connection.execute(ALL_IS_WELL)
    yield connection
    await connection.close()


@asynccontextmanager
async def changed(connection: Connection, *statements: str) -> AsyncIterator[None]:
    """For the moment."""
    transaction = connection.transaction()
    await transaction.start()
    for statement in statements:
        await connection.execute(statement)
    yield
    await transaction.rollback()


async def test_what_is_wrong_is_seen(connection: Connection) -> None:
    assert await examine(connection, Expected()) == []
    for statement, seen in CASES:
        async with changed(connection, statement):
            found = await examine(connection, Expected())
        assert seen in "; ".join(found), statement
    assert await examine(connection, Expected()) == []


async def test_what_the_fault_explains_is_not_wrong(connection: Connection) -> None:
    place = Place("tracker", "send.sms.bulk", 3, 7)
    # An orphan that was told twice is kept twice.
    async with changed(connection, LETTER, ORPHAN, ORPHAN):
        assert await examine(connection, Expected(buried={place}, strays=1)) == []
        assert await examine(connection, Expected(may_be_buried={place}, strays=1)) == []
        missing = await examine(connection, Expected({place, place._replace(offset=8)}, strays=1))
    spoken_of = f"INSERT INTO tracker.notification (notification_id, tenant) VALUES ('{ID}', 'stranger')"
    async with changed(connection, spoken_of):
        assert await examine(connection, Expected(spoken_of=1)) == []
        assert len(await examine(connection, Expected())) == 2
    assert missing == ["1 poisonous records without a dead letter"]
