"""Message in, messages out."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from libs.bus import Effect, Outgoing, Received
from libs.contracts.dead_letters import DeadLetter
from libs.contracts.topics import EXPAND_AUDIENCE, NOTIFICATION_ACCEPTED, NOTIFICATION_REJECTED
from libs.storage import Connection, DeadLetters
from libs.telemetry import metrics, tracing
from services.ingest import announcing
from services.ingest.accepting import Refusal, Stored, Verdict, judge, references, settle, with_known_content
from services.ingest.repository import ContentRepository, NotificationRepository
from services.ingest.submission import Submission


class IngestHandlers:
    """Takes on what was asked: one transaction a batch, the events from what is stored."""

    def __init__(
        self, notifications: NotificationRepository, content: ContentRepository, dead_letters: DeadLetters
    ) -> None:
        self._notifications = notifications
        self._content = content
        self._dead_letters = dead_letters

    async def on_send_notification(self, received: Sequence[Received[Submission]], connection: Connection) -> Effect:
        """Store each notification once; announce all that stand, and send on those that are due."""
        calls = [judge(record.message, record.traceparent or _new_traceparent()) for record in received]
        await self._content.put(connection, [blob for call in calls for blob in call.blobs])
        named = {reference for call in calls for reference in references(call.entries)}
        calls = list(with_known_content(calls, await self._content.name(connection, named)))
        standing = await self._notifications.store(connection, [entry for call in calls for entry in call.entries])
        verdict = settle(calls, standing.by_id, standing.by_request, standing.fresh)
        await self._notifications.withdraw(connection, verdict.withdrawn)
        await self._dead_letters.bury(connection, [_letter(refusal) for refusal in verdict.refusals])
        return Effect(publish=list(_publications(verdict)), committed=lambda: _count(verdict))

    def on_unreadable(self, letter: DeadLetter) -> Sequence[Outgoing]:
        """Tell the sender of a record that nobody could read."""
        return [Outgoing(NOTIFICATION_REJECTED, event) for event in announcing.unreadable(letter)]


def _publications(verdict: Verdict) -> Iterator[Outgoing]:
    for stored in verdict.accepted:
        yield from _of_accepted(stored)
    for refusal in verdict.refusals:
        for event in announcing.rejections(refusal):
            yield Outgoing(NOTIFICATION_REJECTED, event)


def _of_accepted(stored: Stored) -> Iterator[Outgoing]:
    if not stored.waits:
        lane = EXPAND_AUDIENCE[stored.notification.lane]
        yield Outgoing(lane, announcing.expansion(stored), traceparent=stored.traceparent)
    event = announcing.accepted(stored, tracing.trace_id_of(stored.traceparent))
    yield Outgoing(NOTIFICATION_ACCEPTED, event, traceparent=stored.traceparent)


def _letter(refusal: Refusal) -> DeadLetter:
    return replace(refusal.submission.original, reason=refusal.reason)


def _new_traceparent() -> str | None:
    """The trace of a request whose sender began none."""
    with tracing.span("accept notification"):
        return tracing.current_traceparent()


def _count(verdict: Verdict) -> None:
    metrics.INGEST_NOTIFICATIONS.labels("accepted").inc(len(verdict.accepted))
    metrics.INGEST_NOTIFICATIONS.labels("refused").inc(len(verdict.refusals))
