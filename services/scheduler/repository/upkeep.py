"""SQL of forgetting what is over."""

from datetime import timedelta

from libs.storage import Connection

_DROP_WAITING = """
DELETE FROM scheduler.waiting WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM scheduler.waiting WHERE ended_at < now() - $1::interval LIMIT $2 FOR UPDATE SKIP LOCKED))
"""

# What was not cancelled may still be going on, and whoever heard a revision takes a lower one for old news.
_DROP_CONTROL = """
DELETE FROM scheduler.control WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM scheduler.control c
     WHERE changed_at < now() - least($1::interval, $3::interval)
       AND changed_at < now() - CASE WHEN gate = 'cancelled' THEN $1::interval ELSE $3::interval END
       AND announced AND gate IN ('open', 'cancelled')
       AND NOT EXISTS (SELECT FROM scheduler.waiting w
                        WHERE w.tenant = c.tenant AND w.notification_id = c.notification_id
                          AND w.state IN ('waiting', 'stopped'))
     LIMIT $2 FOR UPDATE SKIP LOCKED))
"""

_DROP_COMMANDS = """
DELETE FROM scheduler.control_command WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM scheduler.control_command WHERE decided_at < now() - $1::interval
     LIMIT $2 FOR UPDATE SKIP LOCKED))
"""


class UpkeepRepository:
    """What is over is forgotten in small batches."""

    async def forget(self, connection: Connection, *, retention: timedelta, memory: timedelta, limit: int) -> int:
        """Drop what was released or cancelled `retention` ago, and what is in force for notifications whose end nobody
        tells the scheduler `memory` after its last change; how many rows of the table that had most of them."""
        dropped = [
            await connection.execute(_DROP_WAITING, retention, limit),
            await connection.execute(_DROP_CONTROL, retention, limit, memory),
            await connection.execute(_DROP_COMMANDS, retention, limit),
        ]
        return max(int(tag.rpartition(" ")[2]) for tag in dropped)
