"""Notifications: what was asked, the totals, the counters."""

import json
from collections.abc import Mapping, Sequence

from libs.contracts.content import StoredContent
from libs.contracts.events import NotificationAccepted, NotificationExpanded, NotificationRejected
from libs.contracts.ids import NotificationId
from libs.storage import Connection
from services.tracker.lifecycle import STATES

# The states as columns, in the order of their codes.
COUNTERS = tuple(STATES[code].value for code in sorted(STATES))

_ACCEPT = """
    INSERT INTO tracker.notification (notification_id, tenant, channel, lane, dialect, accepted_at, due_at, trace_id,
                                      external, content_sha256)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
                         $7::timestamptz[], $8::text[], $9::jsonb[], $10::text[])
    ON CONFLICT (notification_id, tenant) DO UPDATE
    SET channel = excluded.channel, lane = excluded.lane, dialect = excluded.dialect,
        accepted_at = excluded.accepted_at, due_at = excluded.due_at, trace_id = excluded.trace_id,
        external = excluded.external, content_sha256 = excluded.content_sha256
    WHERE notification.accepted_at IS NULL
"""
_REJECTIONS = """
    INSERT INTO tracker.rejection (event_id, tenant, notification_id, request_id, origin, reason, rejected_at)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
    ON CONFLICT (event_id) DO NOTHING
"""
_REJECT = """
    INSERT INTO tracker.notification (notification_id, tenant, rejected)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[])
    ON CONFLICT (notification_id, tenant) DO UPDATE SET rejected = excluded.rejected
    WHERE notification.rejected IS NULL
"""
_EXPANSIONS = """
    INSERT INTO tracker.expansion (notification_id, tenant, step, generation, planned, suppressed)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::smallint[], $5::int[], $6::int[])
    ON CONFLICT (notification_id, tenant, step, generation) DO NOTHING
    RETURNING notification_id, tenant, step, generation, planned, suppressed
"""
# A resend speaks of deliveries that were planned before: its totals are kept and added to nothing.
_EXPAND = """
    INSERT INTO tracker.notification AS known (notification_id, tenant, totals_known, expected_planned,
                                               expected_suppressed)
    SELECT notification_id, tenant, bool_or(step = 0), sum(planned), sum(suppressed)
    FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::int[], $5::int[])
        AS told (notification_id, tenant, step, planned, suppressed)
    GROUP BY notification_id, tenant
    ORDER BY notification_id, tenant
    ON CONFLICT (notification_id, tenant) DO UPDATE
    SET totals_known = known.totals_known OR excluded.totals_known,
        expected_planned = known.expected_planned + excluded.expected_planned,
        expected_suppressed = known.expected_suppressed + excluded.expected_suppressed
"""
_COUNT = f"""
    INSERT INTO tracker.notification AS known (notification_id, tenant, {", ".join(COUNTERS)})
    SELECT * FROM unnest($1::uuid[], $2::text[], {", ".join(f"${at}::int[]" for at in range(3, 3 + len(COUNTERS)))})
    ON CONFLICT (notification_id, tenant) DO UPDATE
    SET {", ".join(f"{name} = known.{name} + excluded.{name}" for name in COUNTERS)}
"""  # noqa: S608 - the columns are our own


class NotificationRepository:
    """Notifications; rows are made by whatever comes first and locked in the order of their ids."""

    async def accept(self, connection: Connection, events: Sequence[NotificationAccepted]) -> None:
        """Keep what was asked; the first acceptance of a notification stays."""
        latest = {(event.notification.notification_id, event.tenant): event for event in reversed(events)}
        await connection.execute(_ACCEPT, *zip(*(_accepted(latest[key]) for key in sorted(latest)), strict=True))

    async def reject(self, connection: Connection, events: Sequence[NotificationRejected]) -> None:
        """Keep why something was not taken, by its notification too where it has one."""
        rows = {event.event_id: _rejected(event) for event in reversed(events)}
        await connection.execute(_REJECTIONS, *zip(*(rows[key] for key in sorted(rows)), strict=True))
        named = {
            (event.notification_id, event.tenant): _storable(event.reason)
            for event in reversed(events)
            if event.notification_id is not None
        }
        if named:
            columns = zip(*((*key, named[key]) for key in sorted(named)), strict=True)
            await connection.execute(_REJECT, *columns)

    async def expand(self, connection: Connection, events: Sequence[NotificationExpanded]) -> None:
        """Keep the totals; told twice they count once."""
        rows = sorted(
            {
                (event.notification_id, event.tenant, event.step, event.generation): (event.planned, event.suppressed)
                for event in reversed(events)
            }.items()
        )
        new = await connection.fetch(_EXPANSIONS, *zip(*((*key, *totals) for key, totals in rows), strict=True))
        first = [(row[0], row[1], row[2], row[4], row[5]) for row in new if row["generation"] == 0]
        if first:
            await connection.execute(_EXPAND, *zip(*first, strict=True))

    async def count(self, connection: Connection, changes: Mapping[tuple[NotificationId, str], list[int]]) -> None:
        """Add to the counters. `changes` are by code of state."""
        if changes:
            columns = zip(*((*key, *changes[key][1:]) for key in sorted(changes)), strict=True)
            await connection.execute(_COUNT, *columns)


def _accepted(event: NotificationAccepted) -> tuple[object, ...]:
    notification = event.notification
    return (
        notification.notification_id,
        event.tenant,
        notification.channel,
        notification.lane,
        event.dialect,
        event.occurred_at,
        notification.at,
        event.trace_id,
        json.dumps(notification.external),
        notification.content.sha256 if isinstance(notification.content, StoredContent) else None,
    )


def _rejected(event: NotificationRejected) -> tuple[object, ...]:
    request_id = _storable(event.request_id) if event.request_id is not None else None
    return (
        event.event_id,
        event.tenant,
        event.notification_id,
        request_id,
        _storable(event.origin),
        _storable(event.reason),
        event.occurred_at,
    )


def _storable(text: str) -> str:
    """`text` as Postgres takes it: a rejected request may have been rejected for its NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
