"""The migration runner: numbered SQL files, each applied once, in order, in its own transaction."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import asyncpg

from libs.contracts.failures import Unavailable
from libs.storage.database import Connection, Database
from libs.storage.failures import is_passing

LOCK_WAIT = 60.0  # seconds another replica may take for its migrations
LOCK_POLL = 0.2
FILE_TIMEOUT = 600.0  # seconds for one file

_FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_OWN_PREFIX = "storage/"
_TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtextextended($1, 0))"


class MigrationError(Exception):
    """The files and what the schema records of them do not agree, or a file fails: a person has to look."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    name: str
    sha256: str
    sql: str


async def migrate(database: Database, *, schema: str, folder: Traversable | Path) -> Sequence[str]:
    """Bring `schema` to the state of `folder` and name what was applied now.

    The folder holds NNNN_name.sql, numbered from 0001 without gaps. Names without a schema in a file mean `schema`.
    The schema and its dead_letter table come first. Replicas that start together wait for one another.
    Raises MigrationError, and Unavailable when the database is away or another replica is not ready in time.
    """
    if not _SCHEMA_NAME.fullmatch(schema):
        raise MigrationError(f"{schema!r} is no schema name")
    wanted = [*read_folder(files("libs.storage") / "own", prefix=_OWN_PREFIX), *read_folder(folder)]
    async with database.connection() as connection, _lock(connection, schema):
        await _create_records(connection, schema)
        rows = await connection.fetch(f'SELECT name, sha256 FROM "{schema}".migration')  # noqa: S608 - checked above
        waiting = pending(wanted, {row["name"]: row["sha256"] for row in rows})
        for migration in waiting:
            await _apply(connection, schema, migration)
    return [migration.name for migration in waiting]


def read_folder(folder: Traversable | Path, *, prefix: str = "") -> Sequence[Migration]:
    """The migrations of a folder in order. Raises MigrationError for a name or number that is out of line."""
    paths = sorted((path for path in folder.iterdir() if path.name.endswith(".sql")), key=lambda path: path.name)
    migrations = []
    for number, path in enumerate(paths, start=1):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path.name} is not named NNNN_name.sql")
        if int(match[1]) != number:
            raise MigrationError(
                f"{path.name} stands where {number:04}_... should: numbers have no gaps and no doubles"
            )
        body = path.read_bytes()
        migrations.append(Migration(prefix + path.name, hashlib.sha256(body).hexdigest(), body.decode()))
    return migrations


def pending(wanted: Sequence[Migration], applied: Mapping[str, str]) -> Sequence[Migration]:
    """Which of `wanted` are still to be applied, given the name and sha256 of what was.

    Raises MigrationError when an applied file is missing or changed, or stands behind one that was not applied.
    """
    missing = sorted(applied.keys() - {migration.name for migration in wanted})
    if missing:
        raise MigrationError(f"{missing[0]} was applied but is not among the files (an older release?)")
    waiting: list[Migration] = []
    for migration in wanted:
        recorded = applied.get(migration.name)
        if recorded is None:
            waiting.append(migration)
        elif recorded != migration.sha256:
            raise MigrationError(f"{migration.name} has changed since it was applied")
        elif waiting and _series(waiting[-1]) == _series(migration):
            raise MigrationError(f"{migration.name} was applied before {waiting[-1].name}")
    return waiting


def _series(migration: Migration) -> str:
    """Whose file it is: the library's own may grow after a service's were applied."""
    return migration.name.rpartition("/")[0]


@asynccontextmanager
async def _lock(connection: Connection, schema: str) -> AsyncIterator[None]:
    """Alone with the schema: a session's lock, so that it goes when the process does."""
    key = f"carillon.migrate.{schema}"
    try:
        async with asyncio.timeout(LOCK_WAIT):
            while not await connection.fetchval(_TRY_LOCK, key):  # noqa: ASYNC110 - the event is in another process
                await asyncio.sleep(LOCK_POLL)
    except TimeoutError as error:
        raise Unavailable(f"another replica has been migrating {schema} for {LOCK_WAIT:g} s") from error
    try:
        yield
    finally:
        await connection.execute(_UNLOCK, key)


async def _create_records(connection: Connection, schema: str) -> None:
    # Asked first: IF NOT EXISTS demands the right to create even where there is nothing to do.
    if await connection.fetchval("SELECT to_regnamespace($1) IS NULL", f'"{schema}"'):
        await connection.execute(f'CREATE SCHEMA "{schema}"')
    if await connection.fetchval("SELECT to_regclass($1) IS NULL", f'"{schema}".migration'):
        await connection.execute(
            f"""
            CREATE TABLE "{schema}".migration (
                name       text        PRIMARY KEY,
                sha256     text        NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT now()
            )
            """
        )


async def _apply(connection: Connection, schema: str, migration: Migration) -> None:
    try:
        async with connection.transaction():
            # Local to the transaction: a pooled connection must not keep them.
            await connection.execute(
                "SELECT set_config('search_path', $1, true), set_config('statement_timeout', '0', true)",
                f'"{schema}", public',
            )
            await connection.execute(migration.sql, timeout=FILE_TIMEOUT)
            await connection.execute(
                f'INSERT INTO "{schema}".migration (name, sha256) VALUES ($1, $2)',  # noqa: S608 - checked by migrate
                migration.name,
                migration.sha256,
            )
    except asyncpg.PostgresError as error:
        if is_passing(error):
            raise
        raise MigrationError(f"{migration.name} in {schema}: {error}") from error
