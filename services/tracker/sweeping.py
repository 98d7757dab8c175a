"""Orphans are looked at again: their submission may have been committed while they were being kept."""

from libs.storage import Database
from libs.telemetry import metrics
from services.tracker.facts import places, received
from services.tracker.folding import Folding, counted
from services.tracker.lifecycle import CORRECTION_WINDOW
from services.tracker.repository import HistoryRepository, OrphanRepository

LIMIT = 500  # orphans in one transaction


class OrphanSweep:
    """Joins orphans whose submission is known by now, and gives up on the others after 72 hours."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._folding = Folding()
        self._history = HistoryRepository()
        self._orphans = OrphanRepository()

    async def run(self) -> bool:
        """One bounded look; whether there may be more to do now. Raises Unavailable."""
        async with self._database.transaction() as connection:
            await self._folding.begin(connection)
            due = await self._orphans.due(connection, limit=LIMIT)
            known = places(await self._history.submissions(connection, due)) if due else {}
            found = await self._orphans.take(connection, due & known.keys())
            facts, entries, _ = received(found, known)
            await self._history.add_receipts(connection, entries)
            folded = await self._folding.apply(connection, facts, known=True)
            dropped = await self._orphans.drop(connection, older_than=CORRECTION_WINDOW, limit=LIMIT)
        counted(folded)()
        metrics.TRACKER_ORPHANS.labels("joined").inc(len(found))
        metrics.TRACKER_ORPHANS.labels("dropped").inc(dropped)
        return len(due) == LIMIT or dropped == LIMIT
