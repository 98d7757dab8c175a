"""What the owners of notifications decided: which of them may go on."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from libs.contracts.states import Gate
from libs.storage import Connection

# Whatever was staged or recorded without knowing of a gate was committed well within this.
RACES_END_WITHIN = timedelta(seconds=60)
ROWS_AT_ONCE = 5_000


class Decision(NamedTuple):
    """The gate of a notification; a lower revision is old news."""

    tenant: str
    notification_id: UUID
    gate: Gate
    revision: int


DECIDE = """
INSERT INTO dispatch.gate (tenant, notification_id, gate, revision)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::int[]) AS g (tenant, notification_id, gate, revision)
ORDER BY tenant, notification_id
ON CONFLICT (tenant, notification_id) DO UPDATE
SET gate = excluded.gate, revision = excluded.revision, controlled_at = now()
WHERE gate.revision < excluded.revision
"""

# Rows that somebody is just working on are left to the next time: until then the claim asks dispatch.gate itself.
# LATERAL .. LIMIT begins with the few gates, whatever the planner thinks of the many rows that wait.
FLAG_CHUNKS = """
WITH stale AS (
    SELECT waiting.chunk_id, decided.gate FROM dispatch.gate decided CROSS JOIN LATERAL (
        SELECT c.chunk_id FROM dispatch.chunk c
        WHERE c.open AND c.notification_id = decided.notification_id AND c.tenant = decided.tenant
          AND c.gate <> decided.gate
        LIMIT $2 FOR UPDATE SKIP LOCKED) waiting
    WHERE decided.controlled_at > now() - $1::interval LIMIT $2
)
UPDATE dispatch.chunk c SET gate = stale.gate FROM stale WHERE c.chunk_id = stale.chunk_id
"""
FLAG_ITEMS = """
WITH stale AS (
    SELECT waiting.chunk_id, waiting.ordinal, decided.gate FROM dispatch.gate decided CROSS JOIN LATERAL (
        SELECT i.chunk_id, i.ordinal FROM dispatch.item i
        WHERE i.claim_id IS NULL AND i.notification_id = decided.notification_id AND i.tenant = decided.tenant
          AND i.gate <> decided.gate
        LIMIT $2 FOR UPDATE SKIP LOCKED) waiting
    WHERE decided.controlled_at > now() - $1::interval LIMIT $2
)
UPDATE dispatch.item i SET gate = stale.gate FROM stale WHERE i.chunk_id = stale.chunk_id AND i.ordinal = stale.ordinal
"""


class GateRepository:
    """The gates of all channels."""

    async def decide(self, connection: Connection, decisions: Sequence[Decision]) -> None:
        """Keep the newest decision of each notification; a notification stands once in `decisions`."""
        await connection.execute(
            DECIDE,
            [each.tenant for each in decisions],
            [each.notification_id for each in decisions],
            [each.gate for each in decisions],
            [each.revision for each in decisions],
        )

    async def flag(self, connection: Connection, since: timedelta = RACES_END_WITHIN) -> bool:
        """Note the gates decided in the time `since` at what waits of their notifications; whether there is more."""
        changed = [
            await connection.execute(FLAG_CHUNKS, since, ROWS_AT_ONCE),
            await connection.execute(FLAG_ITEMS, since, ROWS_AT_ONCE),
        ]
        return any(int(status.split()[-1]) == ROWS_AT_ONCE for status in changed)
