"""What each message does to the tracker's books."""

from collections.abc import Sequence
from typing import TypeVar

from libs.bus import Effect, Received
from libs.contracts.commands import SendDeliveries
from libs.contracts.envelope import Message
from libs.contracts.events import (
    DeliveryAttempted,
    DeliverySuppressed,
    NotificationAccepted,
    NotificationExpanded,
    NotificationRejected,
    ReceiptReceived,
)
from libs.storage import Connection
from libs.telemetry import metrics
from services.tracker.facts import attempted, places, planned, receipts, received, suppressed
from services.tracker.folding import Folding, counted
from services.tracker.repository import HistoryRepository, NotificationRepository, OrphanRepository

E = TypeVar("E", bound=Message)


class TrackerHandlers:
    """One transaction per batch; in any order and any number of times."""

    def __init__(self) -> None:
        self._folding = Folding()
        self._history = HistoryRepository()
        self._notifications = NotificationRepository()
        self._orphans = OrphanRepository()

    async def on_notification_accepted(
        self, batch: Sequence[Received[NotificationAccepted]], connection: Connection
    ) -> Effect:
        """Keep what was asked."""
        await self._notifications.accept(connection, _messages(batch))
        return Effect()

    async def on_notification_rejected(
        self, batch: Sequence[Received[NotificationRejected]], connection: Connection
    ) -> Effect:
        """Keep why it was not taken."""
        await self._notifications.reject(connection, _messages(batch))
        return Effect()

    async def on_notification_expanded(
        self, batch: Sequence[Received[NotificationExpanded]], connection: Connection
    ) -> Effect:
        """Keep the totals."""
        await self._notifications.expand(connection, _messages(batch))
        return Effect()

    async def on_send_deliveries(self, batch: Sequence[Received[SendDeliveries]], connection: Connection) -> Effect:
        """Everybody in the chunks is queued."""
        facts, recipients = planned(_messages(batch))
        await self._folding.begin(connection)
        await self._history.add_recipients(connection, recipients)
        return Effect(committed=counted(await self._folding.apply(connection, facts)))

    async def on_delivery_suppressed(
        self, batch: Sequence[Received[DeliverySuppressed]], connection: Connection
    ) -> Effect:
        """Everybody in the chunks gets nothing, and why."""
        facts, recipients = suppressed(_messages(batch))
        await self._folding.begin(connection)
        await self._history.add_recipients(connection, recipients)
        return Effect(committed=counted(await self._folding.apply(connection, facts)))

    async def on_delivery_attempted(
        self, batch: Sequence[Received[DeliveryAttempted]], connection: Connection
    ) -> Effect:
        """What was tried, and the receipts that came before it."""
        await self._folding.begin(connection)
        windows = await self._new(connection, _messages(batch))
        if not windows:
            return Effect()
        facts, history, submissions = attempted(windows)
        known = places(submissions)
        early, entries, _ = received(await self._orphans.take(connection, known.keys()), known)
        for key, told in early.items():
            facts[key].extend(told)
        await self._history.add_attempts(connection, history)
        await self._history.add_submissions(connection, submissions)
        await self._history.add_receipts(connection, entries)
        return Effect(committed=counted(await self._folding.apply(connection, facts)))

    async def on_receipt_received(self, batch: Sequence[Received[ReceiptReceived]], connection: Connection) -> Effect:
        """What carriers reported; what belongs to nothing known yet is kept for later."""
        await self._folding.begin(connection)
        reports = receipts(await self._new(connection, _messages(batch)))
        if not reports:
            return Effect()
        handles = [report[0] for report in reports]
        known = places(await self._history.submissions(connection, handles))
        facts, entries, orphans = received(reports, known)
        await self._orphans.keep(connection, orphans)
        await self._history.add_receipts(connection, entries)
        tell = counted(await self._folding.apply(connection, facts, known=True))

        def committed() -> None:
            tell()
            metrics.TRACKER_ORPHANS.labels("kept").inc(len(orphans))

        return Effect(committed=committed)

    async def _new(self, connection: Connection, events: Sequence[E]) -> Sequence[E]:
        """The events whose history is not kept yet, each once."""
        new = await self._history.claim(connection, [event.event_id for event in events])
        return list({event.event_id: event for event in events if event.event_id in new}.values())


def _messages(batch: Sequence[Received[E]]) -> Sequence[E]:
    return [received.message for received in batch]
