"""The SQL of what no event triggers: rows that are no longer needed."""

from datetime import timedelta

from libs.storage import Connection

# Unique keys outlive the replay window: twice the longest retention of a command topic. The plans hold addresses, so
# they are not kept longer either.
KEPT_FOR = timedelta(days=14)
# A page may be 200 KB.
ROWS_AT_ONCE = 100

# Whoever froze the page says what follows from it, again if need be: nobody asks for the parked row any more.
DROP_PARKED = """
DELETE FROM audience.parked WHERE (tenant, notification_id, step, generation, page) IN (
    SELECT parked.tenant, parked.notification_id, parked.step, parked.generation, parked.page
    FROM audience.parked JOIN audience.page USING (tenant, notification_id, step, generation, page)
    LIMIT $1 FOR UPDATE OF parked SKIP LOCKED)
"""

# What is parked goes on one day, and its page counts on the pages before it.
DROP_PAGES = """
DELETE FROM audience.page WHERE (tenant, notification_id, step, generation, page) IN (
    SELECT tenant, notification_id, step, generation, page FROM audience.page
    WHERE decided_at < now() - $2::interval
      AND NOT EXISTS (SELECT FROM audience.parked
                      WHERE parked.tenant = page.tenant AND parked.notification_id = page.notification_id)
    ORDER BY decided_at LIMIT $1 FOR UPDATE OF page SKIP LOCKED)
"""

# A notification that is paused or held is not over.
DROP_GATES = """
DELETE FROM audience.gate WHERE (tenant, notification_id) IN (
    SELECT tenant, notification_id FROM audience.gate
    WHERE controlled_at < now() - $2::interval AND gate IN ('open', 'cancelled')
      AND NOT EXISTS (SELECT FROM audience.parked
                      WHERE parked.tenant = gate.tenant AND parked.notification_id = gate.notification_id)
    ORDER BY controlled_at LIMIT $1 FOR UPDATE OF gate SKIP LOCKED)
"""


class UpkeepRepository:
    """The upkeep of the schema, across tenants."""

    async def forget(self, connection: Connection) -> bool:
        """Drop a batch of each; whether there may be more."""
        dropped = [
            await connection.execute(DROP_PARKED, ROWS_AT_ONCE),
            await connection.execute(DROP_PAGES, ROWS_AT_ONCE, KEPT_FOR),
            await connection.execute(DROP_GATES, ROWS_AT_ONCE, KEPT_FOR),
        ]
        return any(int(status.split()[-1]) == ROWS_AT_ONCE for status in dropped)
