"""Whose caller wants to hear of what, and what they were told."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from libs.contracts.states import NotificationState
from libs.storage import Connection
from services.tracker.blocks import OFFSET_BITS, Block, BlockKey, Named
from services.tracker.repository.arrays import array_of_ids, array_of_tenants
from services.tracker.repository.blocks import span
from services.tracker.settling import End

# The row is what everybody who has news waits for, so whoever looks for news sees all of what was written before it.
_MARK = """
    UPDATE tracker.callback SET due_at = least(callback.due_at, now() + $3::interval)
    FROM unnest($1::uuid[], $2::text[]) AS told (notification_id, tenant)
    WHERE callback.notification_id = told.notification_id AND callback.tenant = told.tenant
"""
_OPEN = """
    INSERT INTO tracker.callback (notification_id, tenant, due_at)
    SELECT notification_id, tenant, now() FROM unnest($1::uuid[], $2::text[]) AS told (notification_id, tenant)
    ON CONFLICT (notification_id, tenant) DO NOTHING
"""
_STALE = """
    INSERT INTO tracker.told (block_id, tenant)
    SELECT * FROM unnest($1::text::uuid[], $2::text::text[])
    ON CONFLICT (block_id, tenant) DO UPDATE SET stale = true WHERE NOT told.stale
"""
_ALL_STALE = """
    INSERT INTO tracker.told (block_id, tenant)
    SELECT block_id, tenant FROM tracker.block WHERE block_id >= $1 AND block_id <= $2 AND tenant = $3
    ON CONFLICT (block_id, tenant) DO UPDATE SET stale = true WHERE NOT told.stale
"""
_TAKE = """
    SELECT callback.notification_id, callback.tenant, callback.told_round, callback.told_state, request.body,
           request.traceparent, now() AS looked_at
    FROM tracker.callback
    JOIN tracker.request ON request.notification_id = callback.notification_id AND request.tenant = callback.tenant
    WHERE callback.due_at <= now() ORDER BY callback.due_at LIMIT $1 FOR UPDATE OF callback SKIP LOCKED
"""
_NEWS = """
    SELECT block.block_id, told.told, block.states, block.details, block.reasons
    FROM tracker.told JOIN tracker.block ON block.block_id = told.block_id AND block.tenant = told.tenant
    WHERE told.stale AND told.block_id >= $1 AND told.block_id <= $2 AND told.tenant = $3
    ORDER BY told.block_id LIMIT $4
"""
_TELL = """
    UPDATE tracker.told SET told = said.told, stale = false
    FROM unnest($1::uuid[], $2::bytea[]) AS said (block_id, told)
    WHERE told.block_id = said.block_id AND told.tenant = $3
"""
_LOOKED = """
    UPDATE tracker.callback
    SET due_at = CASE WHEN $3 THEN due_at END, told_round = $4, told_state = $5
    WHERE notification_id = $1 AND tenant = $2
"""


class Listener(NamedTuple):
    """A notification with news: the end that was told of it, what was asked, its trace, and the database's clock."""

    notification: Named
    told: End | None
    body: str
    traceparent: str | None
    now: datetime


class CallbackRepository:
    """What callers are to be told. The notification's row is locked before its blocks are marked or read."""

    async def open(self, connection: Connection, notifications: Collection[Named]) -> None:
        """From now on somebody wants to hear of these."""
        if notifications:
            await connection.execute(_OPEN, *zip(*sorted(notifications), strict=True))

    async def mark(
        self,
        connection: Connection,
        notifications: Collection[Named],
        blocks: Collection[BlockKey] = (),
        *,
        after: float,
    ) -> None:
        """There is news of these notifications, in these blocks; look in `after` seconds, when there may be more."""
        if not notifications:
            return
        await connection.execute(_MARK, *zip(*sorted(notifications), strict=True), timedelta(seconds=after))
        if blocks:
            ordered = sorted(blocks)
            await connection.execute(_STALE, array_of_ids(ordered), array_of_tenants(ordered))

    async def mark_all(self, connection: Connection, notification: Named) -> None:
        """There may be news in every block of a notification."""
        await connection.execute(_ALL_STALE, *span(notification))

    async def take(self, connection: Connection, *, limit: int) -> Sequence[Listener]:
        """Some notifications there is news of, locked."""
        return [
            Listener((row[0], row[1]), _end(row[2], row[3]), row["body"], row["traceparent"], row["looked_at"])
            for row in await connection.fetch(_TAKE, limit)
        ]

    async def news(
        self, connection: Connection, notification: Named, *, limit: int
    ) -> Mapping[BlockKey, tuple[Block, bytes]]:
        """Blocks that changed since they were told, and what was told of them."""
        rows = await connection.fetch(_NEWS, *span(notification), limit)
        return {
            BlockKey(block_id.int >> OFFSET_BITS, notification[1]): (Block.unpack(*packed), told)
            for block_id, told, *packed in rows
        }

    async def tell(self, connection: Connection, tenant: str, told: Mapping[BlockKey, bytes]) -> None:
        """Keep what is told of blocks."""
        if told:
            await connection.execute(_TELL, [key.block_id for key in told], list(told.values()), tenant)

    async def looked(self, connection: Connection, notification: Named, told: End | None, *, has_more: bool) -> None:
        """Keep the end that is told; look again at once if there is more."""
        end = (None, None) if told is None else (told.round, told.state.value)
        await connection.execute(_LOOKED, *notification, has_more, *end)


def _end(told_round: int | None, state: str | None) -> End | None:
    return None if told_round is None or state is None else End(told_round, NotificationState(state))
