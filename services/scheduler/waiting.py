"""What is held, and what is said when it is released."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from libs.contracts.commands import ExpandAudience
from libs.contracts.events import NotificationAccepted
from libs.contracts.ids import event_id
from libs.contracts.notification import Notification, order_key


@dataclass(frozen=True, slots=True)
class Waiting:
    """A notification that waits for its instant. `acceptance_id` is the event that brought it."""

    tenant: str
    notification: Notification
    at: datetime
    acceptance_id: UUID
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Released(Waiting):
    """One whose instant has come: `released_at` was stored when it was claimed first."""

    released_at: datetime


def waiting(accepted: NotificationAccepted, traceparent: str | None) -> Waiting | None:
    """What is to be held of an acceptance: nothing where ingest sent it on at once."""
    at = accepted.notification.at
    if not accepted.waits or at is None:
        return None
    return Waiting(accepted.tenant, accepted.notification, at, accepted.event_id, traceparent)


def expansion(released: Released) -> ExpandAudience:
    """The command that follows, the same each time it is derived."""
    return ExpandAudience(
        event_id=event_id(released.notification.notification_id, ExpandAudience.TYPE, 0),
        tenant=released.tenant,
        key=order_key(released.notification),
        occurred_at=released.released_at,
        causation_id=released.acceptance_id,
        notification=released.notification,
    )
