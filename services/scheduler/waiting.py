"""What is held, and what is said when it is released."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from libs.contracts.commands import ExpandAudience
from libs.contracts.events import NotificationAccepted
from libs.contracts.ids import event_id
from libs.contracts.notification import Notification, order_key
from libs.contracts.states import Gate
from services.scheduler.control import Start


class WaitingState(StrEnum):
    """Where a held notification stands. The last two never change again."""

    WAITING = "waiting"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    FIRED = "fired"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A notification that waits for its instant. `acceptance_id` is the event that brought it."""

    tenant: str
    notification: Notification
    start: Start
    acceptance_id: UUID
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Released(Waiting):
    """One whose instant has come: `released_at` was stored when it was claimed first, `due` is since when it could."""

    due: datetime
    released_at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """What was taken at once, to be published."""

    claim_id: UUID
    released: Sequence[Released]


def waiting(accepted: NotificationAccepted, traceparent: str | None) -> Waiting | None:
    """What is to be held of an acceptance: nothing where ingest sent it on at once."""
    one = accepted.notification
    if not accepted.waits or one.at is None:
        return None
    return Waiting(accepted.tenant, one, Start(one.at, one.wall, one.zone), accepted.event_id, traceparent)


def state_behind(gate: Gate) -> WaitingState:
    """Where what is not released yet stands behind a gate."""
    match gate:
        case Gate.OPEN:
            return WaitingState.WAITING
        case Gate.PAUSED | Gate.HELD:
            return WaitingState.STOPPED
        case Gate.CANCELLED:
            return WaitingState.CANCELLED


def expansion(released: Released) -> ExpandAudience:
    """The command that follows, the same each time it is derived."""
    notification = _at(released.notification, released.start)
    return ExpandAudience(
        event_id=event_id(notification.notification_id, ExpandAudience.TYPE, 0),
        tenant=released.tenant,
        key=order_key(notification),
        occurred_at=released.released_at,
        causation_id=released.acceptance_id,
        notification=notification,
    )


def _at(notification: Notification, start: Start) -> Notification:
    """With the start that held, which may be another than the one it was accepted with."""
    if (start.at, start.wall, start.zone) == (notification.at, notification.wall, notification.zone):
        return notification
    return notification.model_copy(update={"at": start.at, "wall": start.wall, "zone": start.zone})
