from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.contracts.dead_letters import DeadLetter
from libs.storage import Database, Store, migrate

pytestmark = pytest.mark.postgres


@pytest.fixture
async def database(postgres: str, tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.connect(postgres, service="test")
    await migrate(database, schema="example", folder=tmp_path)
    yield database
    await database.close()


def _letter(offset: int, reason: str = "no JSON") -> DeadLetter:
    return DeadLetter(
        topic="send.notification.bulk",
        partition=3,
        offset=offset,
        key=None,
        value=b"\x00\xff{",
        headers=[("x", None), ("y", b"\xff\x00"), ("y", b""), ("\ud800\0", b"z")],
        error_class="Undecodable",
        reason=reason,
    )


async def test_what_was_on_the_record_is_kept_as_it_was(database: Database) -> None:
    store = Store(database, "example")
    async with store.transaction() as connection:
        await store.bury(connection, [_letter(2**40, "a\0b" + "x" * 5000)])
    async with database.connection() as connection:
        row = await connection.fetchrow("SELECT * FROM example.dead_letter")
    assert row is not None
    assert (row["topic"], row["partition"], row["record_offset"]) == ("send.notification.bulk", 3, 2**40)
    assert (row["key"], row["value"]) == (None, b"\x00\xff{")
    assert row["header_names"] == ["x", "y", "y", "\\ud800\\0"]
    assert row["header_values"] == [None, b"\xff\x00", b"", b"z"]
    assert (row["error_class"], row["reason"][:4], len(row["reason"])) == ("Undecodable", "a\\0b", 2000)
    assert row["service_version"]
    assert row["created_at"] is not None
    assert row["redriven_at"] is None


async def test_the_same_record_is_buried_once(database: Database) -> None:
    store = Store(database, "example")
    for reason in ("first", "second"):
        async with store.transaction() as connection:
            await store.bury(connection, [_letter(1, reason), _letter(2, reason), _letter(1, "third")])
    async with store.transaction() as connection:
        await store.bury(connection, [])
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT record_offset, reason FROM example.dead_letter ORDER BY record_offset")
    assert [tuple(row) for row in rows] == [(1, "first"), (2, "first")]


async def test_it_goes_with_its_transaction(database: Database) -> None:
    store = Store(database, "example")
    with pytest.raises(KeyError):
        async with store.transaction() as connection:
            await store.bury(connection, [_letter(1)])
            raise KeyError
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM example.dead_letter") == 0
