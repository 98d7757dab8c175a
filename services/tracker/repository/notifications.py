"""Notifications: what was asked, the totals, the counters."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from libs.contracts.content import StoredContent
from libs.contracts.events import NotificationAccepted, NotificationExpanded, NotificationRejected
from libs.storage import Connection
from services.tracker.asking import written
from services.tracker.blocks import Named
from services.tracker.lifecycle import STATES
from services.tracker.repository.arrays import array_of_numbers

Accepted: TypeAlias = tuple[NotificationAccepted, str | None]
"""An acceptance and the trace it came in."""

# The states as columns, in the order of their codes.
COUNTERS = tuple(STATES[code].value for code in sorted(STATES))

# The empty list of seconds stands for "no fallback".
_ACCEPT = f"""
    WITH told AS MATERIALIZED (
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
                             $7::timestamptz[], $8::text[], $9::jsonb[], $10::text[], $11::text[], $12::boolean[],
                             $13::text[], $14::text[])
            AS told (notification_id, tenant, channel, lane, dialect, accepted_at, due_at, trace_id, external,
                     content_sha256, fallback_after, callback, body, traceparent)
    ), kept AS (
        INSERT INTO tracker.request (notification_id, tenant, body, traceparent)
        SELECT notification_id, tenant, body, traceparent FROM told
        ON CONFLICT (notification_id, tenant) DO NOTHING
    )
    INSERT INTO tracker.notification AS known (notification_id, tenant, channel, lane, dialect, accepted_at, due_at,
                                               trace_id, external, content_sha256, fallback_after, callback)
    SELECT notification_id, tenant, channel, lane, dialect, accepted_at, due_at, trace_id, external, content_sha256,
           nullif(fallback_after::int[], ARRAY[]::int[]), nullif(callback, false)
    FROM told
    ON CONFLICT (notification_id, tenant) DO UPDATE
    SET channel = excluded.channel, lane = excluded.lane, dialect = excluded.dialect,
        accepted_at = excluded.accepted_at, due_at = excluded.due_at, trace_id = excluded.trace_id,
        external = excluded.external, content_sha256 = excluded.content_sha256,
        fallback_after = excluded.fallback_after, callback = excluded.callback
    WHERE known.accepted_at IS NULL
    RETURNING notification_id, tenant, {" + ".join(COUNTERS)} > 0
"""  # noqa: S608 - the columns are our own
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
    INSERT INTO tracker.expansion (notification_id, tenant, step, generation, part, planned, suppressed)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::smallint[], $4::smallint[], $5::int[], $6::int[], $7::int[])
    ON CONFLICT (notification_id, tenant, step, generation, part) DO NOTHING
    RETURNING notification_id, tenant, step, generation, planned, suppressed
"""
_EXPAND = """
    WITH expanded AS (
        INSERT INTO tracker.notification AS known (notification_id, tenant, totals_known, expected_planned,
                                                   expected_suppressed)
        SELECT notification_id, tenant, true, planned, suppressed
        FROM unnest($1::uuid[], $2::text[], $3::int[], $4::int[]) AS told (notification_id, tenant, planned, suppressed)
        ORDER BY notification_id, tenant
        ON CONFLICT (notification_id, tenant) DO UPDATE
        SET totals_known = true,
            expected_planned = known.expected_planned + excluded.expected_planned,
            expected_suppressed = known.expected_suppressed + excluded.expected_suppressed
        RETURNING known.notification_id, known.tenant, known.callback
    )
    SELECT notification_id, tenant FROM expanded WHERE callback
"""
# Only what asks for more than to be counted comes back: nearly nothing does.
_COUNT = f"""
    WITH counted AS (
        INSERT INTO tracker.notification AS known (notification_id, tenant, {", ".join(COUNTERS)})
        SELECT * FROM unnest($1::uuid[], $2::text[], {", ".join(f"${at}::int[]" for at in range(3, 3 + len(COUNTERS)))})
        ON CONFLICT (notification_id, tenant) DO UPDATE
        SET {", ".join(f"{name} = known.{name} + excluded.{name}" for name in COUNTERS)}
        RETURNING known.notification_id, known.tenant, known.fallback_after, known.callback
    )
    SELECT * FROM counted WHERE fallback_after IS NOT NULL OR callback
"""  # noqa: S608 - the columns are our own
_MOVE_TOTALS = """
    UPDATE tracker.notification AS known
    SET expected_planned = known.expected_planned + told.planned,
        expected_suppressed = known.expected_suppressed + told.suppressed
    FROM unnest($1::uuid[], $2::text[], $3::int[], $4::int[]) AS told (notification_id, tenant, planned, suppressed)
    WHERE known.notification_id = told.notification_id AND known.tenant = told.tenant
"""
_SLIP = """
    INSERT INTO tracker.notification AS known (notification_id, tenant, slipped)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[])
    ON CONFLICT (notification_id, tenant) DO UPDATE SET slipped = known.slipped + excluded.slipped
"""


class Asking(NamedTuple):
    """What a notification asks for beside being counted: a fallback, `fallback_after` so many seconds at each step, or
    word of its deliveries."""

    fallback_after: Sequence[int]
    callback: bool


class NotificationRepository:
    """Notifications; rows are made by whatever comes first and locked in the order of their ids."""

    async def accept(self, connection: Connection, events: Sequence[Accepted]) -> set[Named]:
        """Keep what was asked; the first acceptance of a notification stays. Those of which facts were known before."""
        latest = {
            (event.notification.notification_id, event.tenant): (event, traceparent)
            for event, traceparent in reversed(events)
        }
        columns = zip(*(_accepted(*latest[key]) for key in sorted(latest)), strict=True)
        rows = await connection.fetch(_ACCEPT, *columns)
        return {(notification, tenant) for notification, tenant, begun in rows if begun}

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

    async def expand(self, connection: Connection, events: Sequence[NotificationExpanded]) -> Sequence[Named]:
        """Keep the totals; told twice they count once. The notifications that changed and ask for word of it.

        How many there are of a later step or generation, the books know themselves: it was they that asked for it.
        """
        rows = sorted(
            {
                (event.notification_id, event.tenant, event.step, event.generation, event.part): (
                    event.planned,
                    event.suppressed,
                )
                for event in reversed(events)
            }.items()
        )
        new = await connection.fetch(_EXPANSIONS, *zip(*((*key, *totals) for key, totals in rows), strict=True))
        first = [(row[0], row[1], row[4], row[5]) for row in new if not row["step"] and not row["generation"]]
        if not first:
            return ()
        return [(row[0], row[1]) for row in await connection.fetch(_EXPAND, *zip(*first, strict=True))]

    async def count(self, connection: Connection, changes: Mapping[Named, list[int]]) -> Mapping[Named, Asking]:
        """Add to the counters; what the notifications ask for that ask for anything. `changes` are by code of state."""
        if not changes:
            return {}
        columns = zip(*((*key, *changes[key][1:]) for key in sorted(changes)), strict=True)
        return {
            (notification, tenant): Asking(after or (), bool(callback))
            for notification, tenant, after, callback in await connection.fetch(_COUNT, *columns)
        }

    async def move_totals(self, connection: Connection, changes: Mapping[Named, tuple[int, int]]) -> None:
        """Add to the totals (planned, suppressed) of notifications that were counted."""
        rows = [(*key, *changes[key]) for key in sorted(changes) if any(changes[key])]
        if rows:
            await connection.execute(_MOVE_TOTALS, *zip(*rows, strict=True))

    async def slip(self, connection: Connection, slipped: Mapping[Named, int]) -> None:
        """Add to how many slipped through a cancel."""
        if slipped:
            rows = [(*key, slipped[key]) for key in sorted(slipped)]
            await connection.execute(_SLIP, *zip(*rows, strict=True))


def _accepted(event: NotificationAccepted, traceparent: str | None) -> tuple[object, ...]:
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
        array_of_numbers(math.ceil(fallback.after.total_seconds()) for fallback in notification.fallback),
        notification.callback is not None,
        written(notification),
        traceparent,
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
