"""What the tracker is asked. Every query carries its tenant."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from libs.contracts.ids import DeliveryId, NotificationId
from libs.contracts.states import DeliveryState
from libs.storage import Connection, Database
from services.tracker.answers import Attempt, Delivery, Progress, Report
from services.tracker.asking import Recipient
from services.tracker.blocks import BLOCK_SIZE, OFFSET_BITS, Block, BlockKey, Standing, delivery_at, locate
from services.tracker.facts import unpack_entries
from services.tracker.lifecycle import CODES, STATES
from services.tracker.repository.notifications import COUNTERS
from services.tracker.repository.recipients import read_recipients

# A control may come before everything else, and from anybody: it alone makes no notification.
_KNOWN = f"""
    notification_id = $1 AND tenant = $2
    AND (accepted_at IS NOT NULL OR rejected IS NOT NULL OR totals_known OR {" + ".join(COUNTERS)} > 0)
"""
_NOTIFICATION = f"""
    SELECT channel, lane, dialect, accepted_at, coalesce(starts_at, due_at), trace_id, rejected, totals_known,
           expected_planned, expected_suppressed, coalesce(coalesce(starts_at, due_at) > now(), false),
           gate, control_revision, control_reason, slipped, rounds,
           fallback_after IS NOT NULL AND EXISTS (
               SELECT FROM tracker.timer WHERE timer.notification_id = $1 AND timer.tenant = $2
           ), {", ".join(COUNTERS)}
    FROM tracker.notification WHERE {_KNOWN}
"""  # noqa: S608 - the columns are our own
_EXISTS = f"SELECT true FROM tracker.notification WHERE {_KNOWN}"  # noqa: S608 - the same
# Bytes of `states` are compared without unpacking: an index on what changes with every fact would cost each of them.
_BLOCKS = """
    SELECT block_id, states, details, reasons FROM tracker.block
    WHERE block_id >= $1 AND block_id <= $2 AND tenant = $3 AND ($4::bytea IS NULL OR position($4 IN states) > 0)
    ORDER BY block_id LIMIT $5
"""
_ATTEMPTS = """
    SELECT generation, provider, finished_at, offsets, attempts, states, reasons, message_ids
    FROM tracker.attempts WHERE block_id = $1 AND tenant = $2
"""
_RECEIPTS = "SELECT provider, entries FROM tracker.receipts WHERE block_id = $1 AND tenant = $2"


class QueryRepository:
    """Reads of one tenant's deliveries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def notification(self, tenant: str, notification: NotificationId) -> Progress | None:
        """The notification, none when the tenant has no such. Raises Unavailable, as all of these."""
        async with self._database.connection() as connection:
            return await read_progress(connection, tenant, notification)

    async def deliveries(
        self, tenant: str, notification: NotificationId, *, first: UUID, state: DeliveryState | None, limit: int
    ) -> Sequence[Delivery] | None:
        """At most `limit` deliveries from the id `first` on, in the order of their ids; none when the tenant has no
        such notification."""
        async with self._database.connection() as connection:
            if not await connection.fetchval(_EXISTS, notification, tenant):
                return None
            found: list[tuple[BlockKey, int, Standing]] = []
            while len(found) < limit:
                blocks = await self._blocks(connection, tenant, notification, first=first, state=state, limit=limit)
                found += [entry for key, block in blocks for entry in _standings(key, block, first, state)]
                if len(blocks) < _enough(limit, state):
                    break
                first = delivery_at(BlockKey(blocks[-1][0].number + 1, tenant), 0)
            found = found[:limit]
            recipients = await read_recipients(connection, tenant, {key for key, _, _ in found})
        return [
            Delivery(delivery_at(key, offset), recipients.get((key.number, offset), Recipient()), standing)
            for key, offset, standing in found
        ]

    async def delivery(
        self, tenant: str, delivery: UUID
    ) -> tuple[Delivery, Sequence[Attempt], Sequence[Report]] | None:
        """One delivery with its history in the order of time."""
        index, offset = locate(delivery)
        key = BlockKey(index, tenant)
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_BLOCKS, key.block_id, key.block_id, tenant, None, 1)
            standing = Block.unpack(row[1], row[2], row[3]).at(offset) if row else None
            if standing is None:
                return None
            recipients = await read_recipients(connection, tenant, {key})
            attempts = await connection.fetch(_ATTEMPTS, key.block_id, tenant)
            receipts = await connection.fetch(_RECEIPTS, key.block_id, tenant)
        found = Delivery(DeliveryId(delivery), recipients.get((index, offset), Recipient()), standing)
        return found, _attempts(attempts, offset), _reports(receipts, offset)

    async def _blocks(
        self,
        connection: Connection,
        tenant: str,
        notification: NotificationId,
        *,
        first: UUID,
        state: DeliveryState | None,
        limit: int,
    ) -> list[tuple[BlockKey, Block]]:
        index, _ = locate(first)
        last = UUID(int=notification.int | 0xFFFFFFFF)
        byte = None if state is None else bytes((CODES[state],))
        rows = await connection.fetch(
            _BLOCKS, BlockKey(index, tenant).block_id, last, tenant, byte, _enough(limit, state)
        )
        return [(BlockKey(row[0].int >> OFFSET_BITS, tenant), Block.unpack(row[1], row[2], row[3])) for row in rows]


async def read_progress(connection: Connection, tenant: str, notification: NotificationId) -> Progress | None:
    """The notification, none when the tenant has no such."""
    row = await connection.fetchrow(_NOTIFICATION, notification, tenant)
    if row is None:
        return None
    counts = {DeliveryState(name): row[name] for name in COUNTERS}
    return Progress._make((*row[: -len(COUNTERS)], counts))


def _enough(limit: int, state: DeliveryState | None) -> int:
    """How many blocks to read at once: without a filter nearly every delivery of a block counts."""
    return limit // BLOCK_SIZE + 2 if state is None else min(limit, 200)


def _standings(
    key: BlockKey, block: Block, first: UUID, state: DeliveryState | None
) -> Iterator[tuple[BlockKey, int, Standing]]:
    wanted = None if state is None else CODES[state]
    begin = max(0, first.int - (key.number << OFFSET_BITS))
    for offset in range(begin, BLOCK_SIZE):
        if wanted is not None and block.states[offset] != wanted:
            continue
        standing = block.at(offset)
        if standing is not None:
            yield key, offset, standing


def _attempts(rows: Iterable[Any], offset: int) -> Sequence[Attempt]:
    found = set()
    for row in rows:
        reasons, message_ids = json.loads(row["reasons"] or "null"), json.loads(row["message_ids"])
        for position, at in enumerate(row["offsets"]):
            if at == offset:
                attempt, state = row["attempts"][position], STATES[row["states"][position]]
                reason = reasons[position] if reasons else ""
                told = row["generation"], attempt, row["finished_at"], state, reason, row["provider"]
                found.add(Attempt(*told, message_ids[position]))
    return sorted(found)


def _reports(rows: Iterable[Any], offset: int) -> Sequence[Report]:
    """A carrier may report one thing several times: the first of each counts."""
    entries = sorted(
        (received, reported, state, code, row["provider"])
        for row in rows
        for at, state, code, reported, received in unpack_entries(row["entries"])
        if at == offset
    )
    found: dict[tuple[object, ...], Report] = {}
    for received, *told in entries:
        reported, state, code, _ = told
        found.setdefault(tuple(told), Report(_instant(reported), STATES[state], code, _instant(received)))
    return list(found.values())


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
