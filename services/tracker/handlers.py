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
    NotificationControlled,
    NotificationExpanded,
    NotificationRejected,
    ReceiptReceived,
)
from libs.contracts.states import Gate
from libs.storage import Connection
from libs.telemetry import metrics
from services.tracker.blocks import Named
from services.tracker.chunks import planned, suppressed
from services.tracker.facts import attempted, places, receipts, received, slipped
from services.tracker.fallback import late_timers
from services.tracker.folding import Folding, counted
from services.tracker.repository import (
    BlockRepository,
    CallbackRepository,
    ControlRepository,
    HistoryRepository,
    NotificationRepository,
    OrphanRepository,
    TimerRepository,
)

E = TypeVar("E", bound=Message)


class TrackerHandlers:
    """One transaction per batch; in any order and any number of times."""

    def __init__(self) -> None:
        self._folding = Folding()
        self._history = HistoryRepository()
        self._notifications = NotificationRepository()
        self._orphans = OrphanRepository()
        self._control = ControlRepository()
        self._blocks = BlockRepository()
        self._timers = TimerRepository()
        self._callbacks = CallbackRepository()

    async def on_notification_accepted(
        self, batch: Sequence[Received[NotificationAccepted]], connection: Connection
    ) -> Effect:
        """Keep what was asked. Where its deliveries were told of before, what should have followed from them does so
        now."""
        begun = await self._notifications.accept(connection, [(one.message, one.traceparent) for one in batch])
        events = {(one.notification.notification_id, one.tenant): one for one in reversed(_messages(batch))}
        await self._callbacks.open(connection, [key for key, one in events.items() if one.notification.callback])
        for key in sorted(begun):
            await self._catch_up(connection, key, events[key])
        return Effect()

    async def _catch_up(self, connection: Connection, key: Named, event: NotificationAccepted) -> None:
        notification = event.notification
        if notification.callback:
            await self._callbacks.mark_all(connection, key)
        if notification.fallback:
            blocks = await self._blocks.of_notification(connection, key)
            after = notification.fallback[0].after
            await self._timers.arm(connection, list(late_timers(blocks, event.occurred_at, after)))

    async def on_notification_controlled(
        self, batch: Sequence[Received[NotificationControlled]], connection: Connection
    ) -> Effect:
        """Keep the state in force; timers of a fallback go on or end with it."""
        changed = await self._control.control(connection, _messages(batch))
        by_gate = {gate: [one.notification for one in changed if one.gate is gate] for gate in Gate}
        await self._timers.go_on(connection, by_gate[Gate.OPEN])
        await self._timers.stop(connection, by_gate[Gate.CANCELLED])
        await self._callbacks.mark(connection, [one.notification for one in changed if one.callback], after=0)
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
        events = _messages(batch)
        listening = await self._notifications.expand(connection, events)
        await self._callbacks.mark(connection, listening, after=0)
        return Effect()

    async def on_send_deliveries(self, batch: Sequence[Received[SendDeliveries]], connection: Connection) -> Effect:
        """Everybody in the chunks is queued."""
        chunks = _messages(batch)
        facts, later, recipients = planned(chunks)
        await self._folding.begin(connection)
        await self._history.add_recipients(connection, recipients)
        return Effect(committed=counted(await self._folding.apply(connection, facts, later=later, chunks=chunks)))

    async def on_delivery_suppressed(
        self, batch: Sequence[Received[DeliverySuppressed]], connection: Connection
    ) -> Effect:
        """Everybody in the chunks gets nothing, and why."""
        facts, later, recipients = suppressed(_messages(batch))
        await self._folding.begin(connection)
        await self._history.add_recipients(connection, recipients)
        return Effect(committed=counted(await self._folding.apply(connection, facts, later=later)))

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
        folded = await self._folding.apply(connection, facts)
        await self._notifications.slip(connection, slipped(windows))
        return Effect(committed=counted(folded))

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
