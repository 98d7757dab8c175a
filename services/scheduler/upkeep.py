"""What is over is forgotten."""

from datetime import timedelta

from libs.storage import Database
from services.scheduler.repository import UpkeepRepository

# Twice the longest retention of a topic: no acceptance and no command comes again after that.
RETENTION = timedelta(days=14)
# The scheduler is not told when a notification is over. As long as the tracker keeps its deliveries, a revision that
# began anew would be old news to it.
MEMORY = timedelta(days=400)
BATCH = 1_000


class Upkeep:
    """Drops rows in small batches."""

    def __init__(self, database: Database, repository: UpkeepRepository) -> None:
        self._database = database
        self._repository = repository

    async def run(self) -> bool:
        """Drop a batch; whether there is more. Raises Unavailable."""
        async with self._database.transaction() as connection:
            dropped = await self._repository.forget(connection, retention=RETENTION, memory=MEMORY, limit=BATCH)
        return dropped >= BATCH
