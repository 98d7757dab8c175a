"""Record and report."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from libs.contracts.events import DeliveryAttempted
from libs.storage import Connection
from services.dispatchers.leases import LEASE
from services.dispatchers.results import Result
from services.dispatchers.staging import compress, decompress

# How long a recorded claim is left to its owner to report before a sweeper does it.
REPORT_LEASE = timedelta(seconds=30)
# How long after its lease a claim may still be its owner's because nobody looked.
SWEPT_WITHIN = timedelta(minutes=5)

# Only a cancel that is younger than the claim can have been overtaken: mostly there is none, and one look says so.
# state || '' keeps the planner from reading the index of unfinished claims from end to end instead of the primary key:
# they are few only as long as the bus takes their reports.
RECORD = """
UPDATE dispatch.claim c
SET state = CASE WHEN given.result IS NULL THEN 'reported' ELSE 'done' END, result = given.result,
    lease_until = now() + $4,
    slipped = EXISTS (SELECT FROM dispatch.gate WHERE gate = 'cancelled' AND controlled_at > now() - $5::interval)
          AND EXISTS (SELECT FROM dispatch.gate decided WHERE decided.tenant = c.tenant
                        AND decided.notification_id = given.notification_id AND decided.gate = 'cancelled')
FROM unnest($1::uuid[], $2::uuid[], $3::bytea[]) AS given (claim_id, notification_id, result)
WHERE c.claim_id = given.claim_id AND c.state || '' = 'held'
RETURNING c.claim_id, c.slipped
"""

FORGET_ITEMS = """
DELETE FROM dispatch.item i USING unnest($1::uuid[], $2::smallint[], $3::uuid[]) AS given (chunk_id, ordinal, claim_id)
WHERE i.chunk_id = given.chunk_id AND i.ordinal = given.ordinal AND i.claim_id = given.claim_id
"""

# Only the route that may have sent it may send it again.
KEEP_ITEMS = """
INSERT INTO dispatch.item (chunk_id, ordinal, tenant, channel, lane, pinned, state, maybe_sent, attempts, due_at, gate,
                           notification_id, expires_at, segments)
SELECT c.chunk_id, given.ordinal, c.tenant, c.channel, c.lane, CASE WHEN maybe_sent THEN given.route ELSE '' END,
       given.state, given.maybe_sent, given.attempts, now() + given.due_in * interval '1 second',
       coalesce(decided.gate, 'open'), c.notification_id, c.expires_at, CASE WHEN paid THEN 0 ELSE c.segments END
FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::text[], $5::bool[], $6::bool[], $7::smallint[], $8::float8[])
    AS given (chunk_id, ordinal, route, state, maybe_sent, paid, attempts, due_in)
JOIN dispatch.chunk c USING (chunk_id) LEFT JOIN dispatch.gate decided USING (tenant, notification_id)
"""

# Accounts are locked in their order, so that two recorders cannot wait for each other.
SETTLE_FUNDS = """
WITH settled AS (
    UPDATE dispatch.claim c SET reserved = c.reserved - given.released
    FROM unnest($1::uuid[], $2::bigint[]) AS given (claim_id, released) WHERE c.claim_id = given.claim_id
    RETURNING c.tenant, c.reserved AS kept, given.released
), sums AS (
    SELECT tenant, sum(kept)::bigint AS kept, sum(released)::bigint AS released FROM settled GROUP BY tenant
), locked AS (
    SELECT tenant FROM dispatch.account WHERE tenant IN (SELECT tenant FROM sums) ORDER BY tenant FOR UPDATE
)
UPDATE dispatch.account a
SET balance = a.balance + s.released, reserved = a.reserved - s.kept - s.released, spent = a.spent + s.kept,
    updated_at = now()
FROM sums s JOIN locked USING (tenant) WHERE a.tenant = s.tenant
"""

REPORTED = "UPDATE dispatch.claim SET state = 'reported' WHERE claim_id = ANY ($1::uuid[]) AND state || '' = 'done'"


class RecordRepository:
    """What claims with such a lease came to."""

    def __init__(self, lease: timedelta = LEASE) -> None:
        self._oldest = lease + SWEPT_WITHIN

    async def record(self, connection: Connection, results: Sequence[Result]) -> Mapping[UUID, bool]:
        """Record finished windows, keep their exceptions and settle what they cost, in the caller's transaction.

        Returns the claims that were still ours, and of each whether a cancel was in force already. Of a lost claim
        nothing is written: whoever took it over decides.
        """
        rows = await connection.fetch(
            RECORD,
            [result.window.claim_id for result in results],
            [result.window.chunk.notification_id for result in results],
            [packed(result.event) if result.event else None for result in results],
            REPORT_LEASE,
            self._oldest,
        )
        ours = {row["claim_id"]: row["slipped"] for row in rows}
        kept = [result for result in results if result.window.claim_id in ours]
        await _forget_items(connection, kept)
        await _keep_items(connection, kept)
        if paid := [result for result in kept if result.window.cost]:
            claims = [result.window.claim_id for result in paid]
            await connection.execute(SETTLE_FUNDS, claims, [result.released for result in paid])
        return ours

    async def mark_reported(self, connection: Connection, claims: Sequence[UUID]) -> None:
        """What they came to is on the bus."""
        await connection.execute(REPORTED, claims)


async def _forget_items(connection: Connection, results: Sequence[Result]) -> None:
    if again := [(result.window, ordinal) for result in results for ordinal in result.window.earlier]:
        await connection.execute(
            FORGET_ITEMS,
            [window.chunk.chunk_id for window, _ in again],
            [ordinal for _, ordinal in again],
            [window.claim_id for window, _ in again],
        )


async def _keep_items(connection: Connection, results: Sequence[Result]) -> None:
    if exceptions := [(result.window, exception) for result in results for exception in result.exceptions]:
        await connection.execute(
            KEEP_ITEMS,
            [window.chunk.chunk_id for window, _ in exceptions],
            [exception.ordinal for _, exception in exceptions],
            [window.route for window, _ in exceptions],
            [exception.waiting.state for _, exception in exceptions],
            [exception.maybe_sent for _, exception in exceptions],
            [exception.paid for _, exception in exceptions],
            [exception.attempts for _, exception in exceptions],
            [exception.waiting.due_in for _, exception in exceptions],
        )


def packed(event: DeliveryAttempted) -> bytes:
    """An event as a claim keeps it."""
    return compress(event.model_dump_json().encode())


def unpacked(result: bytes) -> DeliveryAttempted:
    """The event a claim keeps."""
    return DeliveryAttempted.model_validate_json(decompress(result))
