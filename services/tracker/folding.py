"""One way for facts into the database: lock the blocks, fold, write them back, count what really changed."""

from collections.abc import Callable

from libs.storage import Connection
from libs.telemetry import metrics
from services.tracker.blocks import Facts, Folded, fold
from services.tracker.lifecycle import STATES
from services.tracker.repository import BlockRepository, HistoryRepository, NotificationRepository


class Folding:
    """Folds facts within a transaction whose plans are pinned."""

    def __init__(self) -> None:
        self._blocks = BlockRepository()
        self._history = HistoryRepository()
        self._notifications = NotificationRepository()

    async def begin(self, connection: Connection) -> None:
        """Prepare the transaction; comes before everything else in it."""
        await self._blocks.pin_plans(connection)

    async def apply(self, connection: Connection, facts: Facts, *, known: bool = False) -> Folded:
        """Fold `facts`; `known` says that every one of their blocks exists. Comes last in a transaction, because the
        counters of a notification are what all its facts wait for."""
        reserve = self._blocks.lock if known else self._blocks.reserve
        folded = fold(await reserve(connection, facts), facts)
        await self._blocks.write(connection, folded.changed)
        await self._history.add_corrections(connection, folded.corrections)
        await self._notifications.count(connection, folded.counts)
        return folded


def counted(folded: Folded) -> Callable[[], None]:
    """What to tell the metrics once the transaction is committed."""

    def tell() -> None:
        for counts in folded.counts.values():
            for code, change in enumerate(counts):
                if change > 0:
                    metrics.TRACKER_TRANSITIONS.labels(STATES[code]).inc(change)
        if folded.corrections:
            metrics.TRACKER_CORRECTIONS.inc(len(folded.corrections))

    return tell
