"""Dead letters as their operator sees them: counted, found by what is wrong with them, and taken to be sent again."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from libs.contracts.dead_letters import DeadLetter
from libs.storage.database import Database


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant: those of `topics` that fulfil all of the rest (none: any).

    What was redriven before is left out unless `again`, and so is what came back: a letter with the bytes of one that
    was redriven and then failed once more.
    """

    topics: Sequence[str]
    error_class: str | None = None
    since: datetime | None = None
    ids: Sequence[int] | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Counted:
    """Letters of one topic and error class. `came_back` of them are left out of the selection for that reason."""

    topic: str
    error_class: str
    letters: int
    came_back: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """The letters of a selection, oldest first, as they were at `at` by the database's clock."""

    ids: Sequence[int]
    at: datetime


_MATCHES = """
    topic = ANY ($1::text[])
    AND ($2::text IS NULL OR error_class = $2)
    AND ($3::timestamptz IS NULL OR created_at >= $3)
    AND ($4::bigint[] IS NULL OR id = ANY ($4))
    AND (redriven_at IS NULL OR $5)
"""
# The same bytes were redriven from the same place and failed there before. By their digest, which can be hashed.
_CAME_BACK = """
    EXISTS (SELECT FROM "{schema}".dead_letter AS before
            WHERE before.redriven_at IS NOT NULL AND before.id < letter.id
              AND before.topic = letter.topic AND before.partition = letter.partition
              AND md5(coalesce(before.value, '')) = md5(coalesce(letter.value, ''))
              AND before.key IS NOT DISTINCT FROM letter.key)
"""


class BuriedLetters:
    """The dead letters of one service's schema."""

    def __init__(self, database: Database, schema: str) -> None:
        self._database = database
        self._schema = schema

    async def count(self, selection: Selection) -> Sequence[Counted]:
        """How many letters match, by topic and error class. Raises Unavailable."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"""
                SELECT topic, error_class, count(*) AS letters, count(*) FILTER (WHERE came_back) AS came_back,
                       min(created_at) AS first, max(created_at) AS last
                FROM (SELECT *, NOT $5 AND {_CAME_BACK.format(schema=self._schema)} AS came_back
                      FROM "{self._schema}".dead_letter AS letter WHERE {_MATCHES}) AS matching
                GROUP BY topic, error_class ORDER BY topic, error_class
                """,  # noqa: S608 - the schema is a name of ours
                *_arguments(selection),
            )
        return [Counted(**row) for row in rows]

    async def find(self, selection: Selection, *, limit: int | None = None) -> Found:
        """The letters that match and did not come back, at most `limit`. Raises Unavailable."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"""
                SELECT id, now() AS at FROM "{self._schema}".dead_letter AS letter
                WHERE {_MATCHES} AND ($5 OR NOT {_CAME_BACK.format(schema=self._schema)})
                ORDER BY id LIMIT $6
                """,  # noqa: S608 - the schema is a name of ours
                *_arguments(selection),
                limit,
            )
            at = rows[0]["at"] if rows else await connection.fetchval("SELECT now()")
        return Found([row["id"] for row in rows], at)

    @asynccontextmanager
    async def taken(self, ids: Sequence[int], at: datetime, *, by: str) -> AsyncIterator[Sequence[DeadLetter]]:
        """Letters to be sent again in the block; when it ends well, the rows say when and by whom.

        Left out are letters that somebody else has taken or redriven since `at`. Raises Unavailable.
        """
        async with self._database.transaction() as connection:
            rows = await connection.fetch(
                f"""
                SELECT * FROM "{self._schema}".dead_letter
                WHERE id = ANY ($1::bigint[]) AND (redriven_at IS NULL OR redriven_at < $2)
                ORDER BY id FOR UPDATE SKIP LOCKED
                """,  # noqa: S608 - the schema is a name of ours
                ids,
                at,
            )
            yield [_letter(row) for row in rows]
            await connection.execute(
                f"""
                UPDATE "{self._schema}".dead_letter SET redriven_at = clock_timestamp(), redriven_by = $2
                WHERE id = ANY ($1::bigint[])
                """,  # noqa: S608 - the schema is a name of ours
                [row["id"] for row in rows],
                by,
            )


def _arguments(selection: Selection) -> tuple[object, ...]:
    return selection.topics, selection.error_class, selection.since, selection.ids, selection.again


def _letter(row: asyncpg.Record) -> DeadLetter:
    return DeadLetter(
        topic=row["topic"],
        partition=row["partition"],
        offset=row["record_offset"],
        key=row["key"],
        value=row["value"],
        headers=list(zip(row["header_names"], row["header_values"], strict=True)),
        error_class=row["error_class"],
        reason=row["reason"],
        recorded_at=row["recorded_at"],
    )
