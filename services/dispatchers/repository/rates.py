"""The SQL of rates: what all processes together may send over a route, given away piece by piece."""

from datetime import timedelta

from libs.contracts.routing import Channel, Lane
from libs.storage import Database
from services.dispatchers.pacing import Grant, lease_size

# Each lease begins where the last one ends, or now; the row's clock `next_free` never runs backwards. To the bulk lane
# one is given only when it begins within a lease's length, so that an urgent one never waits behind many; and as long
# as the urgent lane asks, too, the bulk lane's own clock runs a quarter faster, which leaves a fifth.
TAKE = """
WITH granted AS (
    INSERT INTO dispatch.rate AS r (channel, route, next_free, bulk_free, urgent_at)
    VALUES ($1, $2, clock_timestamp() + $3, clock_timestamp(), CASE WHEN $5 THEN now() ELSE '-infinity' END)
    ON CONFLICT (channel, route) DO UPDATE SET
        next_free = CASE WHEN $5 THEN greatest(r.next_free, clock_timestamp())
                         ELSE greatest(r.next_free, r.bulk_free, clock_timestamp()) END + $3,
        bulk_free = CASE WHEN $5 THEN r.bulk_free
                         ELSE greatest(r.next_free, r.bulk_free, clock_timestamp())
                              + $3 * CASE WHEN r.urgent_at > now() - interval '1 second' THEN 1.25 ELSE 1 END END,
        urgent_at = CASE WHEN $5 THEN clock_timestamp() ELSE r.urgent_at END
    WHERE $5 OR greatest(r.next_free, r.bulk_free) <= clock_timestamp() + $4
    RETURNING next_free - $3 AS begins
)
SELECT extract(epoch FROM clock_timestamp())::float8 AS now, extract(epoch FROM granted.begins)::float8 AS begins,
       extract(epoch FROM greatest(r.next_free, r.bulk_free) - $4)::float8 AS ask_again
FROM (VALUES (1)) one LEFT JOIN granted ON true LEFT JOIN dispatch.rate r ON r.channel = $1 AND r.route = $2
"""


class RateRepository:
    """The rate of one route, in messages a second."""

    def __init__(self, database: Database, channel: Channel, route: str, rate: float) -> None:
        self._database = database
        self._channel = channel
        self._route = route
        self._rate = rate
        self._longest = timedelta(seconds=lease_size(rate) / rate)

    async def take(self, lane: Lane, tokens: int) -> Grant:
        """Ask for a lease of `tokens`. Raises Unavailable."""
        async with self._database.connection() as connection:
            (row,) = await connection.fetch(
                TAKE,
                self._channel,
                self._route,
                timedelta(seconds=tokens / self._rate),
                self._longest,
                lane is Lane.URGENT,
            )
        return Grant(row["now"], row["begins"], row["ask_again"] or row["now"])
