"""What ends without being sent: take it, and record how it ended, in one transaction and without a lease."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from libs.contracts.routing import Channel
from libs.storage import Connection
from services.dispatchers.repository.claims import Owner
from services.dispatchers.repository.recorded import REPORT_LEASE, packed
from services.dispatchers.results import Result
from services.dispatchers.retrying import Unsent
from services.dispatchers.windows import Earlier


@dataclass(frozen=True, slots=True)
class Ending:
    """Deliveries of a chunk that are over, and why. `claim_id` is fresh, for the claim that will say so."""

    claim_id: UUID
    chunk_id: UUID
    ordinals: Sequence[int]
    verdict: Unsent
    traceparent: str | None
    body: bytes
    earlier: Sequence[Earlier] = ()


_CHUNKS = """
SELECT dispatch.new_claim_id() AS claim_id, c.chunk_id, next, n, traceparent, body FROM dispatch.chunk c {also}
WHERE open AND channel = $1 AND {which}
LIMIT $2 FOR UPDATE OF c SKIP LOCKED
"""
_ITEMS = """
WITH over AS (
    SELECT i.chunk_id, ordinal, attempts, maybe_sent FROM dispatch.item i {also}
    WHERE claim_id IS NULL AND channel = $1 AND {which}
    LIMIT $2 FOR UPDATE OF i SKIP LOCKED
), grouped AS (
    SELECT chunk_id, array_agg(ordinal ORDER BY ordinal) AS ordinals,
           array_agg(attempts ORDER BY ordinal) AS attempts, array_agg(maybe_sent ORDER BY ordinal) AS maybe_sent
    FROM over GROUP BY chunk_id
)
SELECT dispatch.new_claim_id() AS claim_id, grouped.*, c.traceparent, c.body
FROM grouped JOIN dispatch.chunk c USING (chunk_id)
"""
CANCELLED_CHUNKS = _CHUNKS.format(also="", which="c.gate = 'cancelled'")
CANCELLED_ITEMS = _ITEMS.format(also="", which="i.gate = 'cancelled'")
EXPIRED_CHUNKS = _CHUNKS.format(also="", which="expires_at <= now()")
EXPIRED_ITEMS = _ITEMS.format(also="", which="expires_at <= now()")
# What is reserved may come back, so only an account without anything in flight is used up.
_BROKE = "JOIN dispatch.account a ON a.tenant = {alias}.tenant AND a.reserved = 0 AND a.balance < {alias}.segments * $3"
UNPAID_CHUNKS = _CHUNKS.format(also=_BROKE.format(alias="c"), which="c.gate = 'open'")
UNPAID_ITEMS = _ITEMS.format(also=_BROKE.format(alias="i"), which="i.gate = 'open' AND due_at <= now()")

# No SMS has more than 49 parts.
IS_ANY = """
SELECT EXISTS (SELECT FROM dispatch.chunk WHERE open AND channel = $1 AND gate = 'cancelled')
    OR EXISTS (SELECT FROM dispatch.chunk WHERE open AND channel = $1 AND expires_at <= now())
    OR EXISTS (SELECT FROM dispatch.item WHERE claim_id IS NULL AND channel = $1 AND gate = 'cancelled')
    OR EXISTS (SELECT FROM dispatch.item WHERE claim_id IS NULL AND channel = $1 AND expires_at <= now())
    OR $2::bigint > 0 AND EXISTS (SELECT FROM dispatch.account WHERE reserved = 0 AND balance < 50 * $2::bigint)
"""

CLOSE_CHUNKS = "UPDATE dispatch.chunk SET next = n, open = false WHERE chunk_id = ANY ($1::uuid[])"
DROP_ITEMS = """
DELETE FROM dispatch.item i USING unnest($1::uuid[], $2::smallint[]) AS given (chunk_id, ordinal)
WHERE i.chunk_id = given.chunk_id AND i.ordinal = given.ordinal
"""
KEEP = """
INSERT INTO dispatch.claim (claim_id, chunk_id, tenant, channel, lo, hi, owner, incarnation, state, lease_until, result)
SELECT claim_id, chunk_id, tenant, $1, lo, hi, $2, $3, 'done', now() + $4, result
FROM unnest($5::uuid[], $6::uuid[], $7::text[], $8::smallint[], $9::smallint[], $10::bytea[])
    AS given (claim_id, chunk_id, tenant, lo, hi, result)
"""


class EndingRepository:
    """What is over in one channel, across tenants. `price` as in ClaimRepository."""

    def __init__(self, channel: Channel, owner: Owner, *, price: int = 0) -> None:
        self._channel = channel
        self._owner = owner
        self._price = price

    async def is_any(self, connection: Connection) -> bool:
        """Whether it is worth to take."""
        return bool(await connection.fetchval(IS_ANY, self._channel, self._price))

    async def take(self, connection: Connection, *, chunks: int, items: int) -> Sequence[Ending]:
        """Lock what is cancelled, has expired or cannot be paid for, up to so many of each, until the caller's
        transaction ends. What is claimed by somebody is not among it."""
        sources = [
            (Unsent.CANCELLED, CANCELLED_CHUNKS, CANCELLED_ITEMS),
            (Unsent.EXPIRED, EXPIRED_CHUNKS, EXPIRED_ITEMS),
        ]
        if self._price:
            sources.append((Unsent.NO_FUNDS, UNPAID_CHUNKS, UNPAID_ITEMS))
        for verdict, of_chunks, of_items in sources:
            priced = [self._price] if verdict is Unsent.NO_FUNDS else []
            ranges = await connection.fetch(of_chunks, self._channel, chunks, *priced)
            exceptions = await connection.fetch(of_items, self._channel, items, *priced)
            if ranges or exceptions:
                return [*(_range(row, verdict) for row in ranges), *(_exceptions(row, verdict) for row in exceptions)]
        return []

    async def record(self, connection: Connection, results: Sequence[Result]) -> None:
        """Keep what the taken deliveries came to, for a report, in the transaction that took them."""
        ranges = [result.window for result in results if not result.window.earlier]
        await connection.execute(CLOSE_CHUNKS, [window.chunk.chunk_id for window in ranges])
        exceptions = [(result.window, ordinal) for result in results for ordinal in result.window.earlier]
        await connection.execute(
            DROP_ITEMS,
            [window.chunk.chunk_id for window, _ in exceptions],
            [ordinal for _, ordinal in exceptions],
        )
        await connection.execute(
            KEEP,
            self._channel,
            self._owner.instance,
            self._owner.incarnation,
            REPORT_LEASE,
            [result.window.claim_id for result in results],
            [result.window.chunk.chunk_id for result in results],
            [result.window.chunk.tenant for result in results],
            [0 if result.window.earlier else result.window.ordinals[0] for result in results],
            [0 if result.window.earlier else result.window.ordinals[-1] + 1 for result in results],
            [packed(result.event) for result in results if result.event],
        )


def _range(row: Any, verdict: Unsent) -> Ending:
    ordinals = range(row["next"], row["n"])
    return Ending(row["claim_id"], row["chunk_id"], ordinals, verdict, row["traceparent"], row["body"])


def _exceptions(row: Any, verdict: Unsent) -> Ending:
    earlier = [Earlier(*each) for each in zip(row["attempts"], row["maybe_sent"], strict=True)]
    return Ending(row["claim_id"], row["chunk_id"], row["ordinals"], verdict, row["traceparent"], row["body"], earlier)
