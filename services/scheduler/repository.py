"""All of the scheduler's SQL. The clock is Postgres's."""

from collections.abc import Sequence
from datetime import timedelta

from libs.contracts.notification import Notification
from libs.storage import Connection
from services.scheduler.timing import Outlook
from services.scheduler.waiting import Released, Waiting

_HOLD = """
INSERT INTO scheduler.waiting (tenant, notification_id, at, body, acceptance_id, traceparent)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::bytea[], $5::uuid[], $6::text[])
    ON CONFLICT DO NOTHING
"""

# Claims of the dead come first: they are the later ones.
_CLAIM = """
WITH stale AS (
    SELECT tenant, notification_id FROM scheduler.waiting
     WHERE state = 'firing' AND claimed_at <= now() - $2::interval
     ORDER BY claimed_at LIMIT $1 FOR UPDATE SKIP LOCKED
), due AS (
    SELECT tenant, notification_id FROM scheduler.waiting
     WHERE state = 'waiting' AND at <= now()
     ORDER BY at LIMIT $1 FOR UPDATE SKIP LOCKED
), chosen AS (
    SELECT * FROM stale UNION ALL SELECT * FROM due
)
UPDATE scheduler.waiting w
   SET state = 'firing', claimed_at = now(), released_at = coalesce(w.released_at, now())
  FROM chosen
 WHERE w.tenant = chosen.tenant AND w.notification_id = chosen.notification_id
RETURNING w.tenant, w.body, w.at, w.acceptance_id, w.traceparent, w.released_at
"""

_FINISH = """
UPDATE scheduler.waiting w
   SET state = 'fired'
  FROM unnest($1::text[], $2::uuid[]) AS done(tenant, notification_id)
 WHERE w.tenant = done.tenant AND w.notification_id = done.notification_id AND w.state = 'firing'
"""

_OUTLOOK = """
SELECT now() AS now,
       (SELECT min(at) FROM scheduler.waiting WHERE state = 'waiting') AS next_due,
       (SELECT min(claimed_at) FROM scheduler.waiting WHERE state = 'firing') AS oldest_claim
"""


class WaitingRepository:
    """What waits, what is being released, what was."""

    async def hold(self, connection: Connection, rows: Sequence[Waiting]) -> None:
        """Keep each once."""
        if not rows:
            return
        await connection.execute(
            _HOLD,
            [row.tenant for row in rows],
            [row.notification.notification_id for row in rows],
            [row.at for row in rows],
            [row.notification.model_dump_json().encode() for row in rows],
            [row.acceptance_id for row in rows],
            [row.traceparent for row in rows],
        )

    async def claim(self, connection: Connection, *, limit: int, lease: timedelta) -> Sequence[Released]:
        """Take what is due, and what somebody took longer than `lease` ago and did not finish; at most `limit` of
        each, nothing that another scheduler is taking now."""
        rows = await connection.fetch(_CLAIM, limit, lease)
        return [
            Released(
                tenant=row["tenant"],
                notification=Notification.model_validate_json(row["body"]),
                at=row["at"],
                acceptance_id=row["acceptance_id"],
                traceparent=row["traceparent"],
                released_at=row["released_at"],
            )
            for row in rows
        ]

    async def finish(self, connection: Connection, released: Sequence[Released]) -> None:
        """Note that Kafka has them."""
        await connection.execute(
            _FINISH,
            [one.tenant for one in released],
            [one.notification.notification_id for one in released],
        )

    async def outlook(self, connection: Connection) -> Outlook:
        """What comes next."""
        row = await connection.fetchrow(_OUTLOOK)
        assert row is not None  # a SELECT without FROM always gives one
        return Outlook(row["now"], row["next_due"], row["oldest_claim"])
