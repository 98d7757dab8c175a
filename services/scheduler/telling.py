"""What is in force and no record will bring to Kafka is told: a missed start, a verdict given over HTTP."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from libs.bus import Outgoing
from libs.storage import Database
from services.scheduler.controlling import outgoing
from services.scheduler.repository import ControlRepository

BATCH = 500


class Teller:
    """Several beside each other may tell the same: it is the same event."""

    def __init__(
        self,
        database: Database,
        controls: ControlRepository,
        publish: Callable[[Sequence[Outgoing]], Awaitable[None]],
        *,
        longest_pause: timedelta,
    ) -> None:
        self._database = database
        self._controls = controls
        self._publish = publish
        self._longest_pause = longest_pause

    async def turn(self) -> float:
        """Publish what Kafka does not have; the seconds until there may be more. Raises Unavailable."""
        async with self._database.connection() as connection:
            rows = await self._controls.to_announce(connection, limit=BATCH)
        if rows:
            await self._publish([outgoing(row) for row in rows])
            async with self._database.transaction() as connection:
                await self._controls.announced(connection, rows)
        return 0.0 if len(rows) == BATCH else self._longest_pause.total_seconds()
