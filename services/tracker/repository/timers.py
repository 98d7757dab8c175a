"""When to look whether the next step of a fallback is needed."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from libs.storage import Connection
from services.tracker.blocks import Named
from services.tracker.fallback import Timer
from services.tracker.repository.arrays import pack_numbers, unpack_numbers

# A chunk that is told again finds its timer; if that is gone, the new one finds nothing left to do.
_ARM = """
    INSERT INTO tracker.timer (timer_id, notification_id, tenant, step, generation, first_number, count, numbers,
                               due_at)
    SELECT timer_id, notification_id, tenant, step, generation, first_number, count, numbers, coalesce(due_at, now())
    FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::smallint[], $5::smallint[], $6::int[], $7::int[], $8::bytea[],
                $9::timestamptz[])
        AS told (timer_id, notification_id, tenant, step, generation, first_number, count, numbers, due_at)
    ON CONFLICT (timer_id) DO NOTHING
"""
# All of one notification and step: their recipients are asked for together.
_DUE = """
    WITH first AS (
        SELECT notification_id, tenant, step FROM tracker.timer
        WHERE due_at <= now() ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    SELECT timer.timer_id, timer.notification_id, timer.tenant, timer.step, timer.generation, timer.first_number,
           timer.count, timer.numbers, timer.due_at, now() AS looked_at
    FROM tracker.timer JOIN first USING (notification_id, tenant, step)
    WHERE timer.due_at <= now() ORDER BY timer.due_at LIMIT $1 FOR UPDATE OF timer SKIP LOCKED
"""
_END = "DELETE FROM tracker.timer WHERE timer_id = ANY ($1::uuid[])"
_WAIT = "UPDATE tracker.timer SET due_at = 'infinity' WHERE timer_id = ANY ($1::uuid[])"
# A timer that another process is looking at is left to it: it reads the gate after us.
_GO_ON = """
    UPDATE tracker.timer SET due_at = now() WHERE timer_id IN (
        SELECT timer_id FROM tracker.timer
        WHERE notification_id = ANY ($1::uuid[]) AND due_at = 'infinity' FOR UPDATE SKIP LOCKED
    )
"""
_STOP = """
    DELETE FROM tracker.timer WHERE timer_id IN (
        SELECT timer_id FROM tracker.timer WHERE notification_id = ANY ($1::uuid[]) FOR UPDATE SKIP LOCKED
    )
"""


class Due(NamedTuple):
    """Timers of one notification and step whose time has come, and the database's clock."""

    timers: Sequence[Timer]
    now: datetime

    @property
    def notification(self) -> Named:
        """The notification they belong to."""
        return self.timers[0].notification_id, self.timers[0].tenant

    @property
    def step(self) -> int:
        """The step they belong to."""
        return self.timers[0].step


class TimerRepository:
    """Timers, locked from the look to the end of the transaction."""

    async def arm(self, connection: Connection, timers: Collection[Timer]) -> None:
        """Keep timers; one that is known stays as it is."""
        if timers:
            await connection.execute(_ARM, *zip(*map(_row, timers), strict=True))

    async def due(self, connection: Connection, *, limit: int) -> Due | None:
        """At most `limit` timers of the notification and step that waited longest."""
        rows = await connection.fetch(_DUE, limit)
        return Due([_timer(row) for row in rows], rows[0]["looked_at"]) if rows else None

    async def end(self, connection: Connection, timers: Collection[Timer]) -> None:
        """They did what they were for."""
        await connection.execute(_END, [timer.timer_id for timer in timers])

    async def wait(self, connection: Connection, timers: Collection[Timer]) -> None:
        """Put them off until their notification goes on."""
        await connection.execute(_WAIT, [timer.timer_id for timer in timers])

    async def go_on(self, connection: Connection, notifications: Collection[Named]) -> None:
        """What was put off is due."""
        if notifications:
            await connection.execute(_GO_ON, [notification for notification, _ in notifications])

    async def stop(self, connection: Connection, notifications: Collection[Named]) -> None:
        """The timers of cancelled notifications end."""
        if notifications:
            await connection.execute(_STOP, [notification for notification, _ in notifications])


def _row(timer: Timer) -> tuple[object, ...]:
    numbers = timer.numbers
    packed = None if isinstance(numbers, range) else pack_numbers(numbers)
    return (*timer[:5], numbers[0], len(numbers), packed, timer.due_at)


def _timer(row: Any) -> Timer:
    first, count, packed = row["first_number"], row["count"], row["numbers"]
    numbers = range(first, first + count) if packed is None else unpack_numbers(packed)
    return Timer(
        row["timer_id"], row["notification_id"], row["tenant"], row["step"], row["generation"], numbers, row["due_at"]
    )
