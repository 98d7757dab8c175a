"""Receipts that came before their submission was known."""

from collections.abc import Collection, Sequence
from datetime import timedelta

from libs.storage import Connection
from services.tracker.facts import Handle, Orphan
from services.tracker.repository.arrays import array_of_numbers

_KEEP = """
    INSERT INTO tracker.orphan (key, rest, provider, state, code, reported_at, received_at)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::smallint[], $5::text[], $6::bigint[], $7::bigint[])
"""
# What another process holds is left to it: it looks again later, and nobody waits here while holding a block.
_FIND = """
    SELECT orphan_id, key, rest, provider, state, code, reported_at, received_at
    FROM tracker.orphan WHERE key = ANY ($1::text::bigint[]) FOR UPDATE SKIP LOCKED
"""
_TAKE = "DELETE FROM tracker.orphan WHERE orphan_id = ANY ($1::bigint[])"
# Looked at again after as long as it has waited already: about thirty looks in 72 hours.
_DUE = """
    UPDATE tracker.orphan
    SET due_at = now() + least(greatest(now() - kept_since, interval '1 second'), interval '1 hour')
    WHERE orphan_id IN (
        SELECT orphan_id FROM tracker.orphan WHERE due_at <= now() ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    RETURNING key, rest
"""
# Numbers are given out in the order of arrival: the oldest stand first in the primary key.
_DROP = """
    DELETE FROM tracker.orphan
    WHERE orphan_id IN (
        SELECT orphan_id FROM (
            SELECT orphan_id, kept_since FROM tracker.orphan ORDER BY orphan_id LIMIT $2 FOR UPDATE SKIP LOCKED
        ) AS oldest
        WHERE kept_since < now() - $1::interval
    )
    RETURNING orphan_id
"""


class OrphanRepository:
    """Orphans, joined when the submission comes, looked at again for a while, then dropped."""

    async def keep(self, connection: Connection, orphans: Sequence[Orphan]) -> None:
        """Keep receipts for later."""
        if orphans:
            rows = ((*handle, *report) for handle, *report in orphans)
            await connection.execute(_KEEP, *zip(*rows, strict=True))

    async def take(self, connection: Connection, handles: Collection[Handle]) -> Sequence[Orphan]:
        """The orphans of these handles, which are none any more."""
        if not handles:
            return ()
        rows = await connection.fetch(_FIND, array_of_numbers([key for key, _ in handles]))
        taken: dict[int, Orphan] = {
            orphan_id: ((key, rest), provider, state, code, reported_at, received_at)
            for orphan_id, key, rest, provider, state, code, reported_at, received_at in rows
            if (key, rest) in handles
        }
        if taken:
            await connection.execute(_TAKE, list(taken))
        return list(taken.values())

    async def due(self, connection: Connection, *, limit: int) -> set[Handle]:
        """The handles of orphans whose turn to be looked at it is."""
        return {(key, rest) for key, rest in await connection.fetch(_DUE, limit)}

    async def drop(self, connection: Connection, *, older_than: timedelta, limit: int) -> int:
        """Give up on what waited longer; how many."""
        return len(await connection.fetch(_DROP, older_than, limit))
