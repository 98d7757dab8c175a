"""The SQL of what no event triggers: leases that ended, results nobody reported, rows that are no longer needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from libs.contracts.events import DeliveryAttempted
from libs.contracts.routing import Channel
from libs.storage import Connection
from services.dispatchers.keys import oldest_claim_id
from services.dispatchers.repository.claims import Owner
from services.dispatchers.repository.recorded import REPORT_LEASE, unpacked
from services.dispatchers.results import slipped

# Unique keys outlive the replay window: twice the longest retention of a command topic.
KEPT_FOR = timedelta(days=14)
# A chunk's addresses and words are dropped when nothing of it can be sent any more, and not within its busy time.
BODY_KEPT_AT_LEAST = timedelta(hours=1)
ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Unreported:
    """A recorded claim that nobody told about."""

    event: DeliveryAttempted
    traceparent: str | None


# A lost claim is settled by sending again to the same provider with the same key: its deliveries become exceptions
# that are due at once, each with one attempt more, for it may have happened. So what was paid for them stays spent, and
# is not paid again.
_SETTLE = """
WITH lost AS (
    UPDATE dispatch.claim SET state = 'lost'
    WHERE claim_id IN (SELECT claim_id FROM dispatch.claim WHERE {which} LIMIT $2 FOR UPDATE SKIP LOCKED)
    RETURNING claim_id, chunk_id, tenant, route, lo, hi, reserved
), ranges AS (
    INSERT INTO dispatch.item (chunk_id, ordinal, tenant, channel, lane, pinned, state, maybe_sent, attempts, due_at,
                               gate, notification_id, expires_at, segments)
    SELECT c.chunk_id, ordinal, c.tenant, c.channel, c.lane, lost.route, 'ambiguous', true, 1, now(),
           coalesce(decided.gate, 'open'), c.notification_id, c.expires_at,
           CASE WHEN lost.reserved > 0 THEN 0 ELSE c.segments END
    FROM lost JOIN dispatch.chunk c USING (chunk_id)
    LEFT JOIN dispatch.gate decided ON decided.tenant = c.tenant AND decided.notification_id = c.notification_id
    CROSS JOIN LATERAL generate_series(lost.lo, lost.hi - 1) ordinal
), items AS (
    UPDATE dispatch.item i
    SET state = 'ambiguous', maybe_sent = true, attempts = i.attempts + 1, due_at = now(), claim_id = NULL,
        pinned = lost.route, segments = CASE WHEN lost.reserved > 0 THEN 0 ELSE i.segments END
    FROM lost WHERE i.chunk_id = lost.chunk_id AND i.claim_id = lost.claim_id
), sums AS (
    SELECT tenant, sum(reserved)::bigint AS kept FROM lost WHERE reserved > 0 GROUP BY tenant
), locked AS (
    SELECT tenant FROM dispatch.account WHERE tenant IN (SELECT tenant FROM sums) ORDER BY tenant FOR UPDATE
), paid AS (
    UPDATE dispatch.account a SET reserved = a.reserved - kept, spent = a.spent + kept, updated_at = now()
    FROM sums JOIN locked USING (tenant) WHERE a.tenant = sums.tenant
)
SELECT count(*) FROM lost
"""
SETTLE_EXPIRED = _SETTLE.format(which="channel = $1 AND state = 'held' AND lease_until < now()")
SETTLE_EARLIER = _SETTLE.format(which="channel = $1 AND state = 'held' AND owner = $3 AND incarnation <> $4")

# Taking the report over for another lease keeps a second sweeper away from it. What an earlier life of this replica
# left waits for no lease.
TAKE_UNREPORTED = """
UPDATE dispatch.claim k SET lease_until = now() + $3
FROM dispatch.chunk c
WHERE c.chunk_id = k.chunk_id AND k.claim_id IN (
    SELECT claim_id FROM dispatch.claim WHERE channel = $1 AND state = 'done'
      AND (lease_until < now() OR owner = $4 AND incarnation <> $5)
    ORDER BY lease_until LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING k.result, k.slipped, c.traceparent
"""

DROP_BODIES = """
UPDATE dispatch.chunk SET body = NULL WHERE chunk_id IN (
    SELECT chunk_id FROM dispatch.chunk c
    WHERE channel = $1 AND body IS NOT NULL AND NOT open AND staged_at < now() - $2::interval
      AND NOT EXISTS (SELECT FROM dispatch.item i WHERE i.chunk_id = c.chunk_id)
      AND NOT EXISTS (SELECT FROM dispatch.claim k WHERE k.chunk_id = c.chunk_id AND k.state IN ('held', 'done'))
    ORDER BY staged_at LIMIT $3 FOR UPDATE SKIP LOCKED)
"""

DROP_CHUNKS = """
DELETE FROM dispatch.chunk WHERE chunk_id IN (
    SELECT chunk_id FROM dispatch.chunk
    WHERE channel = $1 AND body IS NULL AND staged_at < now() - $2::interval LIMIT $3 FOR UPDATE SKIP LOCKED)
"""

DROP_CLAIMS = """
DELETE FROM dispatch.claim WHERE claim_id IN (
    SELECT claim_id FROM dispatch.claim
    WHERE channel = $1 AND claim_id < $2 AND state IN ('reported', 'lost') LIMIT $3 FOR UPDATE SKIP LOCKED)
"""

# Of all channels. What is still paused keeps its gate.
DROP_GATES = """
DELETE FROM dispatch.gate WHERE (tenant, notification_id) IN (
    SELECT tenant, notification_id FROM dispatch.gate g
    WHERE controlled_at < now() - $1::interval
      AND NOT EXISTS (SELECT FROM dispatch.chunk c WHERE c.open AND c.notification_id = g.notification_id)
      AND NOT EXISTS (SELECT FROM dispatch.item i WHERE i.claim_id IS NULL AND i.notification_id = g.notification_id)
    LIMIT $2 FOR UPDATE SKIP LOCKED)
"""


class UpkeepRepository:
    """The upkeep of one channel, across tenants."""

    def __init__(self, channel: Channel, owner: Owner) -> None:
        self._channel = channel
        self._owner = owner

    async def settle_expired(self, connection: Connection) -> int:
        """Turn claims whose lease ended into exceptions; returns how many claims."""
        return int(await connection.fetchval(SETTLE_EXPIRED, self._channel, ROWS_AT_ONCE) or 0)

    async def settle_earlier(self, connection: Connection) -> int:
        """The same at once for what earlier lives of this replica held; returns how many claims."""
        instance, incarnation = self._owner.instance, self._owner.incarnation
        return int(await connection.fetchval(SETTLE_EARLIER, self._channel, ROWS_AT_ONCE, instance, incarnation) or 0)

    async def take_unreported(self, connection: Connection) -> Sequence[Unreported]:
        """Recorded claims whose owner did not report them in time or has died, a batch of the oldest."""
        instance, incarnation = self._owner.instance, self._owner.incarnation
        rows = await connection.fetch(TAKE_UNREPORTED, self._channel, 100, REPORT_LEASE, instance, incarnation)
        return [Unreported(_event(row["result"], row["slipped"]), row["traceparent"]) for row in rows]

    async def forget(self, connection: Connection) -> bool:
        """Drop a batch of what is no longer needed; whether there may be more."""
        dropped = [
            await connection.execute(DROP_BODIES, self._channel, BODY_KEPT_AT_LEAST, ROWS_AT_ONCE),
            await connection.execute(DROP_CHUNKS, self._channel, KEPT_FOR, ROWS_AT_ONCE),
            await connection.execute(DROP_CLAIMS, self._channel, _oldest_kept(), ROWS_AT_ONCE),
            await connection.execute(DROP_GATES, KEPT_FOR, ROWS_AT_ONCE),
        ]
        return any(int(status.split()[-1]) == ROWS_AT_ONCE for status in dropped)


def _event(result: bytes, has_slipped: bool) -> DeliveryAttempted:
    return slipped(unpacked(result)) if has_slipped else unpacked(result)


def _oldest_kept() -> UUID:
    return oldest_claim_id(datetime.now(UTC) - KEPT_FOR)
