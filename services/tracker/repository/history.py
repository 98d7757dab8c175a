"""What is only ever added: recipients, attempts, receipts, corrections, and the events they came from."""

import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from libs.contracts.ids import DeliveryId
from libs.storage import Connection
from services.tracker.chunks import Recipients
from services.tracker.facts import Attempts, Handle, Receipts, Submissions
from services.tracker.repository.arrays import array_of_ids, array_of_numbers

_CLAIM = """
    INSERT INTO tracker.folded (event_id) SELECT * FROM unnest($1::uuid[])
    ON CONFLICT (event_id) DO NOTHING RETURNING event_id
"""
_RECIPIENTS = """
    INSERT INTO tracker.recipients (block_id, tenant, generation, first_offset, channel, client_ids, addresses, offsets)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::smallint[], $5::text[], $6::bytea[], $7::text[],
                         $8::bytea[])
    ON CONFLICT (block_id, tenant, generation, first_offset) DO NOTHING
"""
_ATTEMPTS = """
    INSERT INTO tracker.attempts (block_id, tenant, generation, provider, finished_at, offsets, attempts, states,
                                  reasons, message_ids)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::text[], $5::timestamptz[], $6::bytea[],
                         $7::bytea[], $8::bytea[], $9::text[], $10::text[])
"""
_RECEIPTS = """
    INSERT INTO tracker.receipts (block_id, tenant, generation, provider, entries)
    SELECT piece.block_id, told.tenant, told.generation, told.provider, substr(told.entries, piece.start, piece.length)
    FROM unnest($1::text[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[])
        AS told (tenant, generation, provider, block_ids, starts, lengths, entries),
        unnest(told.block_ids::uuid[], told.starts::int[], told.lengths::int[]) AS piece (block_id, start, length)
"""
_CORRECTIONS = """
    INSERT INTO tracker.correction (delivery_id, tenant, corrected_at)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::timestamptz[])
    ON CONFLICT (delivery_id, tenant) DO NOTHING
"""
_SUBMISSIONS = """
    INSERT INTO tracker.submission (key, rest, notification_id, low, generation, tenant)
    SELECT handle.key, handle.rest, told.notification_id, handle.low, told.generation, told.tenant
    FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::text[], $5::text[], $6::text[])
        AS told (notification_id, tenant, generation, keys, rests, lows),
        unnest(told.keys::bigint[], told.rests::bigint[], told.lows::bigint[]) AS handle (key, rest, low)
"""
_FIND = """
    SELECT notification_id, tenant, generation, array_agg(key), array_agg(rest), array_agg(low)
    FROM tracker.submission WHERE key = ANY ($1::text::bigint[])
    GROUP BY notification_id, tenant, generation
"""


class HistoryRepository:
    """History, added once per event."""

    async def claim(self, connection: Connection, event_ids: Sequence[UUID]) -> set[UUID]:
        """The events among `event_ids` that were not folded before; from now on they are."""
        rows = await connection.fetch(_CLAIM, sorted(set(event_ids)))
        return {row[0] for row in rows}

    async def add_recipients(self, connection: Connection, pieces: Sequence[Recipients]) -> None:
        """Keep who deliveries go to; pieces that are known stay as they are."""
        ordered = sorted(pieces, key=lambda piece: piece[:3])
        columns = zip(*((piece.key.block_id, piece.key.tenant, *piece[1:]) for piece in ordered), strict=True)
        await connection.execute(_RECIPIENTS, *columns)

    async def add_attempts(self, connection: Connection, pieces: Sequence[Attempts]) -> None:
        """Keep what was tried."""
        columns = zip(*((piece.key.block_id, piece.key.tenant, *piece[1:]) for piece in pieces), strict=True)
        await connection.execute(_ATTEMPTS, *columns)

    async def add_receipts(self, connection: Connection, pieces: Sequence[Receipts]) -> None:
        """Keep what carriers reported."""
        if not pieces:
            return
        groups: dict[tuple[str, int, str], list[Receipts]] = {}
        for piece in pieces:
            groups.setdefault((piece.key.tenant, piece.generation, piece.provider), []).append(piece)
        rows = []
        for group, told in groups.items():
            lengths = [len(piece.entries) for piece in told]
            starts = itertools.accumulate(lengths[:-1], initial=1)
            entries = b"".join([piece.entries for piece in told])
            texts = array_of_ids([piece.key for piece in told]), array_of_numbers(starts), array_of_numbers(lengths)
            rows.append((*group, *texts, entries))
        await connection.execute(_RECEIPTS, *zip(*rows, strict=True))

    async def add_corrections(self, connection: Connection, corrections: Sequence[tuple[DeliveryId, str, int]]) -> None:
        """Keep which final states were taken back, and when (seconds since 1970)."""
        if corrections:
            rows = ((delivery, tenant, datetime.fromtimestamp(at, UTC)) for delivery, tenant, at in sorted(corrections))
            await connection.execute(_CORRECTIONS, *zip(*rows, strict=True))

    async def add_submissions(self, connection: Connection, submissions: Sequence[Submissions]) -> None:
        """Keep what carriers' own ids mean."""
        if not submissions:
            return
        rows = []
        for told in submissions:
            keys, rests = zip(*told.handles, strict=True)
            rows.append((*told[:3], array_of_numbers(keys), array_of_numbers(rests), array_of_numbers(told.lows)))
        await connection.execute(_SUBMISSIONS, *zip(*rows, strict=True))

    async def submissions(self, connection: Connection, handles: Iterable[Handle]) -> Sequence[Submissions]:
        """What is known of the carriers' ids with these handles (and of some others with the same key)."""
        rows = await connection.fetch(_FIND, array_of_numbers([key for key, _ in handles]))
        return [
            Submissions(notification_id, tenant, generation, list(zip(keys, rests, strict=True)), lows)
            for notification_id, tenant, generation, keys, rests, lows in rows
        ]
