import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.contracts.failures import Unavailable
from libs.storage import Database, MigrationError, migrate
from libs.storage.migrations import Migration, pending, read_folder

ONE = Migration("0001_one.sql", "a", "")
TWO = Migration("0002_two.sql", "b", "")
OWN = Migration("storage/0001_dead_letter.sql", "c", "")
OWN_LATER = Migration("storage/0002_more.sql", "d", "")


@pytest.mark.parametrize(
    ("wanted", "applied", "expected"),
    [
        ([ONE, TWO], {}, [ONE, TWO]),
        ([ONE, TWO], {"0001_one.sql": "a"}, [TWO]),
        ([ONE, TWO], {"0001_one.sql": "a", "0002_two.sql": "b"}, []),
        ([OWN, OWN_LATER, ONE], {OWN.name: "c", ONE.name: "a"}, [OWN_LATER]),
    ],
    ids=["all", "the rest", "none", "the library grows behind a service"],
)
def test_pending(wanted: list[Migration], applied: dict[str, str], expected: list[Migration]) -> None:
    assert pending(wanted, applied) == expected


@pytest.mark.parametrize(
    ("wanted", "applied", "text"),
    [
        ([ONE], {"0001_one.sql": "other"}, "0001_one.sql has changed"),
        ([ONE], {"0001_one.sql": "a", "0002_two.sql": "b"}, "0002_two.sql was applied but is not among the files"),
        ([ONE, TWO], {"0002_two.sql": "b"}, "0002_two.sql was applied before 0001_one.sql"),
    ],
    ids=["changed", "missing", "out of order"],
)
def test_disagreement(wanted: list[Migration], applied: dict[str, str], text: str) -> None:
    with pytest.raises(MigrationError, match=text):
        pending(wanted, applied)


@pytest.mark.parametrize(
    "names", [["0002_a.sql"], ["0001_a.sql", "0003_c.sql"], ["0001_a.sql", "0001_b.sql"], ["a.sql"]]
)
def test_names_out_of_line(tmp_path: Path, names: list[str]) -> None:
    _write(tmp_path, dict.fromkeys(names, "SELECT 1"))
    with pytest.raises(MigrationError):
        read_folder(tmp_path)


def _write(folder: Path, scripts: dict[str, str]) -> Path:
    for name, sql in scripts.items():
        (folder / name).write_text(sql)
    return folder


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[Database]:
    database = await Database.connect(postgres, service="test", max_size=2, command_timeout=2)
    yield database
    await database.close()


CREATE = {"0001_create.sql": "CREATE TABLE example.note (id int); CREATE INDEX ON note (id);"}
GROW = {"0002_grow.sql": "ALTER TABLE example.note ADD text text;"}


@pytest.mark.postgres
async def test_each_file_once_and_in_order(database: Database, tmp_path: Path) -> None:
    folder = _write(tmp_path, CREATE)
    own = ["storage/0001_dead_letter.sql", "storage/0002_redrive.sql"]
    assert list(await migrate(database, schema="example", folder=folder)) == [*own, "0001_create.sql"]
    assert list(await migrate(database, schema="example", folder=folder)) == []
    _write(tmp_path, GROW)
    assert list(await migrate(database, schema="example", folder=folder)) == ["0002_grow.sql"]
    async with database.connection() as connection:
        names = [
            row["name"] for row in await connection.fetch("SELECT name FROM example.migration ORDER BY applied_at")
        ]
        assert names == [*own, "0001_create.sql", "0002_grow.sql"]
        assert await connection.fetchval("SELECT current_setting('search_path')") == '"$user", public'


@pytest.mark.postgres
async def test_two_schemas_stand_beside_each_other(database: Database, tmp_path: Path) -> None:
    await migrate(database, schema="example", folder=_write(tmp_path, CREATE))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert list(await migrate(database, schema="other", folder=empty)) == [
        "storage/0001_dead_letter.sql",
        "storage/0002_redrive.sql",
    ]


@pytest.mark.postgres
async def test_a_file_that_fails_leaves_nothing_and_those_before_it_stay(database: Database, tmp_path: Path) -> None:
    folder = _write(tmp_path, {**CREATE, "0002_bad.sql": "CREATE TABLE example.half (id int); SELECT nonsense;"})
    with pytest.raises(MigrationError, match=r"0002_bad\.sql in example: .*nonsense"):
        await migrate(database, schema="example", folder=folder)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT to_regclass('example.half') IS NULL")
        assert await connection.fetchval("SELECT to_regclass('example.note') IS NOT NULL")
    _write(tmp_path, {"0002_bad.sql": "CREATE TABLE example.whole (id int)"})
    assert list(await migrate(database, schema="example", folder=folder)) == ["0002_bad.sql"]


@pytest.mark.postgres
async def test_a_changed_file_is_refused(database: Database, tmp_path: Path) -> None:
    folder = _write(tmp_path, CREATE)
    await migrate(database, schema="example", folder=folder)
    _write(tmp_path, {"0001_create.sql": "SELECT 1"})
    with pytest.raises(MigrationError, match=r"0001_create\.sql has changed"):
        await migrate(database, schema="example", folder=folder)


@pytest.mark.postgres
async def test_replicas_that_start_together_apply_once(postgres: str, tmp_path: Path) -> None:
    slow = {"0001_create.sql": "CREATE TABLE example.note (id int); SELECT pg_sleep(0.3);"}
    folder = _write(tmp_path, {**slow, **GROW})
    replicas = [await Database.connect(postgres, service=f"test-{n}") for n in range(4)]
    applied = await asyncio.gather(*(migrate(one, schema="example", folder=folder) for one in replicas))
    assert sorted(len(names) for names in applied) == [0, 0, 0, 4]
    for replica in replicas:
        await replica.close()


@pytest.mark.postgres
async def test_a_replica_that_never_finishes_is_waited_for_only_so_long(
    postgres: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.storage.migrations.LOCK_WAIT", 0.3)
    other = await Database.connect(postgres, service="other")
    async with other.connection() as connection:
        await connection.execute("SELECT pg_advisory_lock(hashtextextended('carillon.migrate.example', 0))")
        with pytest.raises(Unavailable, match="another replica"):
            await migrate(database, schema="example", folder=_write(tmp_path, CREATE))
        await connection.execute("SELECT pg_advisory_unlock_all()")
    await migrate(database, schema="example", folder=tmp_path)
    await other.close()


@pytest.mark.postgres
async def test_a_file_may_take_longer_than_a_command(database: Database, tmp_path: Path) -> None:
    folder = _write(tmp_path, {"0001_long.sql": "SELECT pg_sleep(2.2)"})  # the command timeout is 2 s
    await migrate(database, schema="example", folder=folder)


@pytest.mark.postgres
async def test_a_schema_name_is_a_name(database: Database, tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="no schema name"):
        await migrate(database, schema='x"; DROP', folder=tmp_path)


@pytest.mark.postgres
async def test_the_lock_goes_with_a_failure(postgres: str, database: Database, tmp_path: Path) -> None:
    folder = _write(tmp_path, {"0001_bad.sql": "SELECT nonsense"})
    other = await Database.connect(postgres, service="other")
    for replica in (database, other):
        with pytest.raises(MigrationError, match="nonsense"):
            await migrate(replica, schema="example", folder=folder)
    await other.close()
