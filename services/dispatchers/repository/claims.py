"""Stage, claim, record, report: the working path."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from libs.contracts.commands import SendDeliveries
from libs.contracts.events import DeliveryAttempted
from libs.contracts.routing import Channel, Lane
from libs.storage import Connection
from services.dispatchers.results import Result
from services.dispatchers.retrying import LIFETIMES
from services.dispatchers.staging import Staging, compress, decompress
from services.dispatchers.windows import Earlier

LEASE = timedelta(seconds=90)
# How long a recorded claim is left to its owner to report before a sweeper does it.
REPORT_LEASE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who claims: a replica, and which of its lives."""

    instance: str
    incarnation: UUID


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim as the database made it; `expires_in` in seconds. `body` is none where the caller has the chunk."""

    claim_id: UUID
    chunk_id: UUID
    ordinals: Sequence[int]
    expires_in: float
    traceparent: str | None = None
    body: bytes | None = None
    earlier: Sequence[Earlier] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A tenant for whom there is something to claim in a lane: chunks, or exceptions that are due."""

    lane: Lane
    tenant: str
    exceptions: bool


STAGE = """
WITH given AS (
    SELECT * FROM unnest($3::uuid[], $4::text[], $5::uuid[], $6::text[], $7::smallint[], $8::smallint[],
                         $9::smallint[], $10::timestamptz[], $11::float8[], $12::text[], $13::bytea[])
    WITH ORDINALITY AS g (chunk_id, tenant, notification_id, lane, partition, n, take, expires_at, lifetime,
                          traceparent, body, place)
), planned AS (
    SELECT *, CASE WHEN take > 0 AND EXISTS (
        SELECT FROM dispatch.chunk older
        WHERE older.open AND older.channel = $1 AND older.route = $2 AND older.lane = given.lane
          AND older.tenant = given.tenant
    ) THEN 0 ELSE take END AS taken
    FROM given
), staged AS (
    INSERT INTO dispatch.chunk (chunk_id, tenant, notification_id, channel, lane, route, partition, n, next, open,
                                expires_at, traceparent, body)
    SELECT chunk_id, tenant, notification_id, $1, lane, $2, partition, n, taken, taken < n,
           coalesce(expires_at, now() + lifetime * interval '1 second'), traceparent, body
    FROM planned ORDER BY place
    ON CONFLICT (chunk_id) DO NOTHING
    RETURNING chunk_id, tenant, next AS hi, expires_at
), claimed AS MATERIALIZED (
    SELECT dispatch.new_claim_id() AS claim_id, * FROM staged WHERE hi > 0
), kept AS (
    INSERT INTO dispatch.claim (claim_id, chunk_id, tenant, channel, lo, hi, owner, incarnation, state, lease_until)
    SELECT claim_id, chunk_id, tenant, $1, 0, hi, $14, $15, 'held', now() + $16 FROM claimed
)
SELECT claim_id, chunk_id, hi, extract(epoch FROM expires_at - now())::float8 AS expires_in FROM claimed
"""

CLAIM_CHUNKS = """
WITH head AS (
    SELECT chunk_id, position, next AS lo, n FROM dispatch.chunk
    WHERE open AND channel = $1 AND route = $2 AND lane = $3 AND tenant = $4
      AND ($5::smallint[] IS NULL OR partition = ANY ($5))
    ORDER BY position LIMIT $10
    FOR UPDATE SKIP LOCKED
), summed AS (
    SELECT *, sum(n - lo) OVER (ORDER BY position) - (n - lo) AS before FROM head
), moved AS (
    UPDATE dispatch.chunk c SET next = least(c.n, s.lo + $6 - s.before), open = s.lo + $6 - s.before < c.n
    FROM summed s WHERE c.chunk_id = s.chunk_id AND (s.before = 0 OR s.before + s.n - s.lo <= $6)
    RETURNING dispatch.new_claim_id() AS claim_id, c.chunk_id, s.lo, c.next AS hi, c.position, c.traceparent, c.body,
              c.expires_at
), claimed AS (
    INSERT INTO dispatch.claim (claim_id, chunk_id, tenant, channel, lo, hi, owner, incarnation, state, lease_until)
    SELECT claim_id, chunk_id, $4, $1, lo, hi, $7, $8, 'held', now() + $9 FROM moved
)
SELECT claim_id, chunk_id, lo, hi, traceparent, body, extract(epoch FROM expires_at - now())::float8 AS expires_in
FROM moved ORDER BY position
"""

CLAIM_ITEMS = """
WITH due AS (
    SELECT chunk_id, ordinal FROM dispatch.item
    WHERE claim_id IS NULL AND channel = $1 AND route = $2 AND lane = $3 AND tenant = $4 AND due_at <= now()
    ORDER BY due_at LIMIT $5 FOR UPDATE SKIP LOCKED
), named AS (
    SELECT chunk_id, dispatch.new_claim_id() AS claim_id FROM (SELECT DISTINCT chunk_id FROM due) chunks
), claimed AS (
    INSERT INTO dispatch.claim (claim_id, chunk_id, tenant, channel, lo, hi, owner, incarnation, state, lease_until)
    SELECT claim_id, chunk_id, $4, $1, 0, 0, $6, $7, 'held', now() + $8 FROM named
), taken AS (
    UPDATE dispatch.item i SET claim_id = named.claim_id
    FROM due JOIN named USING (chunk_id) WHERE i.chunk_id = due.chunk_id AND i.ordinal = due.ordinal
    RETURNING i.chunk_id, i.ordinal, i.attempts, i.maybe_sent, i.claim_id
)
SELECT t.claim_id, c.chunk_id, array_agg(t.ordinal ORDER BY t.ordinal) AS ordinals,
       array_agg(t.attempts ORDER BY t.ordinal) AS attempts, array_agg(t.maybe_sent ORDER BY t.ordinal) AS maybe_sent,
       c.traceparent, c.body, extract(epoch FROM c.expires_at - now())::float8 AS expires_in
FROM taken t JOIN dispatch.chunk c USING (chunk_id) GROUP BY t.claim_id, c.chunk_id
"""

# A loose index scan: it touches one row for each tenant that has something, however much that is.
WAITING = """
WITH RECURSIVE chunks AS (
    (SELECT lane, tenant FROM dispatch.chunk WHERE open AND channel = $1 AND route = $2 ORDER BY lane, tenant LIMIT 1)
    UNION ALL
    SELECT following.* FROM chunks last CROSS JOIN LATERAL (
        SELECT lane, tenant FROM dispatch.chunk
        WHERE open AND channel = $1 AND route = $2 AND (lane, tenant) > (last.lane, last.tenant)
        ORDER BY lane, tenant LIMIT 1) following
), items AS (
    (SELECT lane, tenant, due_at FROM dispatch.item WHERE claim_id IS NULL AND channel = $1 AND route = $2
     ORDER BY lane, tenant, due_at LIMIT 1)
    UNION ALL
    SELECT following.* FROM items last CROSS JOIN LATERAL (
        SELECT lane, tenant, due_at FROM dispatch.item
        WHERE claim_id IS NULL AND channel = $1 AND route = $2 AND (lane, tenant) > (last.lane, last.tenant)
        ORDER BY lane, tenant, due_at LIMIT 1) following
)
SELECT lane, tenant, false AS exceptions FROM chunks
UNION ALL SELECT lane, tenant, true FROM items WHERE due_at <= now()
"""

# state || '' keeps the planner from reading the index of unfinished claims from end to end instead of the primary key:
# they are few only as long as the bus takes their reports.
RECORD = """
UPDATE dispatch.claim c
SET state = CASE WHEN given.result IS NULL THEN 'reported' ELSE 'done' END, result = given.result,
    lease_until = now() + $3
FROM unnest($1::uuid[], $2::bytea[]) AS given (claim_id, result)
WHERE c.claim_id = given.claim_id AND c.state || '' = 'held'
RETURNING c.claim_id
"""

FORGET_ITEMS = """
DELETE FROM dispatch.item i USING unnest($1::uuid[], $2::smallint[], $3::uuid[]) AS given (chunk_id, ordinal, claim_id)
WHERE i.chunk_id = given.chunk_id AND i.ordinal = given.ordinal AND i.claim_id = given.claim_id
"""

KEEP_ITEMS = """
INSERT INTO dispatch.item (chunk_id, ordinal, tenant, channel, lane, route, state, maybe_sent, attempts, due_at)
SELECT c.chunk_id, given.ordinal, c.tenant, c.channel, c.lane, c.route, given.state, given.maybe_sent, given.attempts,
       now() + given.due_in * interval '1 second'
FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::bool[], $5::smallint[], $6::float8[])
    AS given (chunk_id, ordinal, state, maybe_sent, attempts, due_in)
JOIN dispatch.chunk c USING (chunk_id)
"""

REPORTED = "UPDATE dispatch.claim SET state = 'reported' WHERE claim_id = ANY ($1::uuid[]) AND state || '' = 'done'"


class ClaimRepository:
    """The claims of one channel and route, made by one owner."""

    def __init__(self, channel: Channel, route: str, owner: Owner) -> None:
        self._channel = channel
        self._route = route
        self._owner = owner

    async def stage(self, connection: Connection, stagings: Sequence[Staging]) -> Sequence[Claimed]:
        """Store different chunks, those with room together with their claim; returns the claims.

        A chunk stored before is neither stored nor claimed again; nothing is claimed past an older open chunk.
        """
        chunks = [staging.chunk for staging in stagings]
        rows = await connection.fetch(
            STAGE,
            self._channel,
            self._route,
            [chunk.chunk_id for chunk in chunks],
            [chunk.tenant for chunk in chunks],
            [chunk.notification_id for chunk in chunks],
            [chunk.lane for chunk in chunks],
            [staging.partition for staging in stagings],
            [len(chunk.addresses) for chunk in chunks],
            [staging.take for staging in stagings],
            [chunk.expires_at for chunk in chunks],
            [LIFETIMES[chunk.message_class].total_seconds() for chunk in chunks],
            [staging.traceparent for staging in stagings],
            [compress(chunk.model_dump_json().encode()) for chunk in chunks],
            self._owner.instance,
            self._owner.incarnation,
            LEASE,
        )
        return [Claimed(row["claim_id"], row["chunk_id"], range(row["hi"]), row["expires_in"]) for row in rows]

    async def claim_chunks(
        self,
        connection: Connection,
        lane: Lane,
        tenant: str,
        *,
        room: int,
        chunks: int = 64,
        partitions: Sequence[int] | None = None,
    ) -> Sequence[Claimed]:
        """Claim up to `room` deliveries of the tenant's oldest open chunks, at most `chunks` of them, in `partitions`
        only where they are given.

        A chunk that does not fit is claimed in part only when it is the first.
        """
        rows = await connection.fetch(
            CLAIM_CHUNKS,
            self._channel,
            self._route,
            lane,
            tenant,
            partitions,
            room,
            self._owner.instance,
            self._owner.incarnation,
            LEASE,
            chunks,
        )
        return [
            Claimed(
                row["claim_id"],
                row["chunk_id"],
                range(row["lo"], row["hi"]),
                row["expires_in"],
                row["traceparent"],
                row["body"],
            )
            for row in rows
        ]

    async def claim_items(self, connection: Connection, lane: Lane, tenant: str, *, room: int) -> Sequence[Claimed]:
        """Claim up to `room` of the tenant's exceptions that are due, one claim for each chunk they belong to."""
        rows = await connection.fetch(
            CLAIM_ITEMS,
            self._channel,
            self._route,
            lane,
            tenant,
            room,
            self._owner.instance,
            self._owner.incarnation,
            LEASE,
        )
        return [
            Claimed(
                row["claim_id"],
                row["chunk_id"],
                row["ordinals"],
                row["expires_in"],
                row["traceparent"],
                row["body"],
                [Earlier(*each) for each in zip(row["attempts"], row["maybe_sent"], strict=True)],
            )
            for row in rows
        ]

    async def waiting(self, connection: Connection) -> Sequence[Waiting]:
        """Who has something to claim now, in lanes and tenants of this route."""
        rows = await connection.fetch(WAITING, self._channel, self._route)
        return [Waiting(Lane(row["lane"]), row["tenant"], row["exceptions"]) for row in rows]

    async def record(self, connection: Connection, results: Sequence[Result]) -> frozenset[UUID]:
        """Record finished windows and keep their exceptions, in the caller's transaction; returns the claims that were
        still ours. Of a lost claim nothing is written: whoever took it over decides."""
        rows = await connection.fetch(
            RECORD,
            [result.window.claim_id for result in results],
            [packed(result.event) if result.event else None for result in results],
            REPORT_LEASE,
        )
        ours = frozenset(row["claim_id"] for row in rows)
        kept = [result for result in results if result.window.claim_id in ours]
        if again := [(result.window, ordinal) for result in kept for ordinal in result.window.earlier]:
            await connection.execute(
                FORGET_ITEMS,
                [window.chunk.chunk_id for window, _ in again],
                [ordinal for _, ordinal in again],
                [window.claim_id for window, _ in again],
            )
        if exceptions := [(result.window, exception) for result in kept for exception in result.exceptions]:
            await connection.execute(
                KEEP_ITEMS,
                [window.chunk.chunk_id for window, _ in exceptions],
                [exception.ordinal for _, exception in exceptions],
                [exception.waiting.state for _, exception in exceptions],
                [exception.maybe_sent for _, exception in exceptions],
                [exception.attempts for _, exception in exceptions],
                [exception.waiting.due_in for _, exception in exceptions],
            )
        return ours

    async def mark_reported(self, connection: Connection, claims: Sequence[UUID]) -> None:
        """What they came to is on the bus."""
        await connection.execute(REPORTED, claims)


def packed(event: DeliveryAttempted) -> bytes:
    """An event as a claim keeps it."""
    return compress(event.model_dump_json().encode())


def unpacked(result: bytes) -> DeliveryAttempted:
    """The event a claim keeps."""
    return DeliveryAttempted.model_validate_json(decompress(result))


def chunk_from(body: bytes) -> SendDeliveries:
    """The command a chunk keeps."""
    return SendDeliveries.model_validate_json(decompress(body))
