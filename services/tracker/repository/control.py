"""Who holds a notification back, and what is needed to go on with it."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from libs.contracts.events import NotificationControlled
from libs.contracts.states import Gate
from libs.storage import Connection
from services.tracker.blocks import Named

# Cancelled while it waited: nothing was planned, and nobody will come to say so.
_CONTROL = """
    WITH controlled AS (
        INSERT INTO tracker.notification AS known (notification_id, tenant, gate, control_revision, control_reason,
                                                   starts_at, totals_known)
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::text[], $6::timestamptz[],
                             $7::boolean[])
        ON CONFLICT (notification_id, tenant) DO UPDATE
        SET gate = excluded.gate, control_revision = excluded.control_revision,
            control_reason = excluded.control_reason, starts_at = coalesce(excluded.starts_at, known.starts_at),
            totals_known = known.totals_known OR excluded.totals_known
        WHERE known.control_revision < excluded.control_revision
        RETURNING known.notification_id, known.tenant, known.gate, known.callback
    )
    SELECT notification_id, tenant, gate, coalesce(callback, false) FROM controlled
"""
_HOLD = """
    SELECT known.gate, request.body, request.traceparent
    FROM tracker.notification AS known
    JOIN tracker.request ON request.notification_id = known.notification_id AND request.tenant = known.tenant
    WHERE known.notification_id = $1 AND known.tenant = $2 FOR NO KEY UPDATE OF known
"""
_STEPS = """
    SELECT 1 + coalesce(cardinality(fallback_after), 0) FROM tracker.notification
    WHERE notification_id = $1 AND tenant = $2
"""
_NEXT_ROUND = "UPDATE tracker.notification SET rounds = rounds + 1 WHERE notification_id = $1 AND tenant = $2"


class Controlled(NamedTuple):
    """A notification whose gate changed; `callback` says that its caller wants to hear of it."""

    notification: Named
    gate: Gate
    callback: bool


class Held(NamedTuple):
    """A notification that is locked: whether it may go on, and what was asked (as `asking.written`)."""

    gate: Gate
    body: str
    traceparent: str | None


class ControlRepository:
    """Gates, and what goes on behind them."""

    async def control(self, connection: Connection, events: Sequence[NotificationControlled]) -> Sequence[Controlled]:
        """Keep the state in force, the highest revision of each notification; those that changed."""
        latest = {
            (event.notification_id, event.tenant): event for event in sorted(events, key=lambda event: event.revision)
        }
        rows = await connection.fetch(_CONTROL, *zip(*(_row(latest[key]) for key in sorted(latest)), strict=True))
        return [Controlled((row[0], row[1]), Gate(row[2]), row[3]) for row in rows]

    async def steps(self, connection: Connection, notification: Named) -> int | None:
        """How many steps a notification may take; none when there is no such."""
        steps: int | None = await connection.fetchval(_STEPS, *notification)
        return steps

    async def now(self, connection: Connection) -> datetime:
        """The database's clock."""
        now: datetime = await connection.fetchval("SELECT now()")
        return now

    async def hold(self, connection: Connection, notification: Named) -> Held | None:
        """Lock a notification; none when it was not accepted yet."""
        row = await connection.fetchrow(_HOLD, *notification)
        return None if row is None else Held(Gate(row[0] or Gate.OPEN), row[1], row[2])

    async def next_round(self, connection: Connection, notification: Named) -> None:
        """Something of it is asked for once more."""
        await connection.execute(_NEXT_ROUND, *notification)


def _row(event: NotificationControlled) -> tuple[object, ...]:
    stopped_early = event.gate is Gate.CANCELLED and event.waits
    return (
        event.notification_id,
        event.tenant,
        event.gate.value,
        event.revision,
        event.reason,
        event.at if event.waits else None,
        stopped_early,
    )
