"""One way for facts into the database: lock the blocks, fold, write them back, count what really changed, and note what
follows from it."""

from collections.abc import Callable, Mapping, Sequence

from libs.contracts.commands import SendDeliveries
from libs.storage import Connection
from libs.telemetry import metrics
from services.tracker.blocks import Facts, Folded, Named, fold
from services.tracker.fallback import chunk_timers, failure_timers
from services.tracker.lifecycle import STATES
from services.tracker.repository import (
    Asking,
    BlockRepository,
    CallbackRepository,
    HistoryRepository,
    NotificationRepository,
    TimerRepository,
)

NOTHING: Facts = {}
# News of one notification come close together; its caller hears of them at once.
CALLBACK_DELAY = 0.5  # seconds


class Folding:
    """Folds facts within a transaction whose plans are pinned."""

    def __init__(self) -> None:
        self._blocks = BlockRepository()
        self._history = HistoryRepository()
        self._notifications = NotificationRepository()
        self._timers = TimerRepository()
        self._callbacks = CallbackRepository()

    async def begin(self, connection: Connection) -> None:
        """Prepare the transaction; comes before everything else in it."""
        await self._blocks.pin_plans(connection)

    async def apply(
        self,
        connection: Connection,
        facts: Facts,
        *,
        later: Facts = NOTHING,
        chunks: Sequence[SendDeliveries] = (),
        known: bool = False,
    ) -> Folded:
        """Fold `facts`, and those about `later` steps and generations (see `fold`); `chunks` are what these plan.
        `known` says that every one of their blocks exists.

        Comes last in a transaction, because the counters of a notification are what all its facts wait for.
        """
        reserve = self._blocks.lock if known else self._blocks.reserve
        folded = fold(await reserve(connection, {**facts, **later} if later else facts), facts, later)
        await self._blocks.write(connection, folded.changed)
        await self._history.add_corrections(connection, folded.corrections)
        # A plan is counted even where it changes nothing: its attempts came first, and its timer is still to be set.
        asking = await self._notifications.count(connection, folded.counts if chunks else folded.moves())
        if folded.totals:
            await self._notifications.move_totals(connection, folded.totals)
        if asking:
            await self._follow(connection, asking, folded, {**facts, **later}, chunks)
        return folded

    async def _follow(
        self,
        connection: Connection,
        asking: Mapping[Named, Asking],
        folded: Folded,
        facts: Facts,
        chunks: Sequence[SendDeliveries],
    ) -> None:
        steps = {key: asked.fallback_after for key, asked in asking.items() if asked.fallback_after}
        if steps:
            timers = [*chunk_timers(chunks, steps), *failure_timers(facts, folded.blocks, steps)]
            await self._timers.arm(connection, timers)
        listening = {key for key, asked in asking.items() if asked.callback}
        if listening:
            blocks = [key for key in folded.changed if (key.notification_id, key.tenant) in listening]
            await self._callbacks.mark(connection, listening, blocks, after=CALLBACK_DELAY)


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
