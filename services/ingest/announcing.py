"""The messages that follow from what is stored or refused, byte for byte the same each time they are derived."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from libs.contracts.commands import ExpandAudience
from libs.contracts.dead_letters import DeadLetter
from libs.contracts.envelope import PLATFORM, TenantId
from libs.contracts.events import NotificationAccepted, NotificationRejected
from libs.contracts.ids import NotificationId, event_id, is_notification_id
from libs.contracts.notification import order_key
from services.ingest.accepting import Refusal, Stored
from services.ingest.parsing import parse
from services.ingest.submission import Unreadable, place, record_id

REASON_LIMIT = 2000
REQUEST_ID_LIMIT = 255
_NEVER = datetime.fromtimestamp(0, UTC)
_TENANT: TypeAdapter[str] = TypeAdapter(TenantId)


def accepted(stored: Stored, trace_id: str | None) -> NotificationAccepted:
    """Says that a notification was taken on."""
    return NotificationAccepted(
        event_id=event_id(stored.notification_id, NotificationAccepted.TYPE, 0),
        tenant=stored.tenant,
        key=str(stored.notification_id),
        occurred_at=stored.accepted_at,
        causation_id=stored.command_id,
        notification=stored.notification,
        dialect=stored.dialect,
        waits=stored.waits,
        trace_id=trace_id,
    )


def expansion(stored: Stored) -> ExpandAudience:
    """Asks for the first page of a notification that is due."""
    return ExpandAudience(
        event_id=event_id(stored.notification_id, ExpandAudience.TYPE, 0),
        tenant=stored.tenant,
        key=order_key(stored.notification),
        occurred_at=stored.accepted_at,
        causation_id=stored.command_id,
        notification=stored.notification,
    )


def rejections(refusal: Refusal) -> Iterator[NotificationRejected]:
    """Says why a call was refused, once for each of its notifications.

    A conflict names the id only as the sender's: the notification that has it is another one and goes its way. So
    does a record of an internal producer, whose notification never got an id.
    """
    submission = refusal.submission
    for index, notification in enumerate(submission.notifications):
        own = not refusal.conflict and submission.request_id is None
        request_id = submission.request_id or (str(notification.notification_id) if refusal.conflict else None)
        yield NotificationRejected(
            event_id=event_id(submission.event_id, NotificationRejected.TYPE, index),
            tenant=submission.tenant,
            key=str(notification.notification_id if own else submission.event_id),
            occurred_at=submission.occurred_at,
            causation_id=submission.event_id,
            notification_id=notification.notification_id if own else None,
            request_id=request_id,
            origin=submission.origin,
            reason=refusal.reason[:REASON_LIMIT],
        )


def unreadable(letter: DeadLetter) -> Sequence[NotificationRejected]:
    """Says why a record could not be read, to whoever it can be told was the sender."""
    try:
        document = parse(letter.value)
    except Unreadable:
        document = {}
    cause = record_id(letter)
    tenant, request_id = _sender(document)
    return [
        NotificationRejected(
            event_id=event_id(cause, NotificationRejected.TYPE, index),
            tenant=tenant,
            key=str(notification_id or cause),
            occurred_at=letter.recorded_at or _NEVER,
            causation_id=cause,
            notification_id=notification_id,
            request_id=request_id,
            origin=place(letter),
            reason=f"{letter.error_class}: {letter.reason}"[:REASON_LIMIT],
        )
        for index, notification_id in enumerate(_ids(document) or [None])
    ]


def _sender(document: Mapping[str, Any]) -> tuple[str, str | None]:
    """Tenant and request id, where the record says them in a form that can be passed on."""
    data = document.get("data")
    inner = data if isinstance(data, dict) else document
    try:
        tenant = _TENANT.validate_python(inner.get("tenant"))
    except ValidationError:
        tenant = PLATFORM
    request_id = inner.get("id")
    usable = isinstance(request_id, str) and 0 < len(request_id) <= REQUEST_ID_LIMIT
    return tenant, request_id if usable else None


def _ids(document: Mapping[str, Any]) -> list[NotificationId | None]:
    """The ids our own gateway gave out in a call that nobody can read: whoever asks for them must get an answer."""
    listed = document.get("notifications")
    texts = (
        [item.get("notification_id") for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    )
    return [NotificationId(found) for found in map(_uuid, texts) if found is not None and is_notification_id(found)]


def _uuid(text: object) -> UUID | None:
    try:
        return UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None
