"""What no event triggers: plans that nobody can ask for any more are dropped, with the addresses in them."""

from libs.storage import Database
from services.audience.repository import UpkeepRepository

SWEEP = 60.0  # seconds


class Sweeper:
    """The upkeep of the audience; several at once pass over each other's rows."""

    def __init__(self, database: Database, upkeep: UpkeepRepository) -> None:
        self._database = database
        self._upkeep = upkeep

    async def sweep(self) -> bool:
        """A batch; whether there may be more. Raises Unavailable."""
        async with self._database.connection() as connection:
            return await self._upkeep.forget(connection)
