"""The control state that is in force, as it is stored and as it is told."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from libs.contracts.events import NotificationControlled
from libs.contracts.ids import NotificationId, event_id
from services.scheduler.control import Place, Standing


@dataclass(frozen=True, slots=True)
class Change:
    """A standing to be stored, and the message that led to it."""

    tenant: str
    notification_id: NotificationId
    standing: Standing
    cause_id: UUID
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Controlled(Change):
    """One that is stored."""

    changed_at: datetime


def announcement(row: Controlled) -> NotificationControlled:
    """What is said of it, the same each time it is derived."""
    standing = row.standing
    waits = standing.place is Place.WAITING
    start = standing.start if waits else None
    return NotificationControlled(
        event_id=event_id(row.notification_id, NotificationControlled.TYPE, standing.revision),
        tenant=row.tenant,
        key=str(row.notification_id),
        occurred_at=row.changed_at,
        causation_id=row.cause_id,
        notification_id=row.notification_id,
        gate=standing.gate,
        revision=standing.revision,
        waits=waits,
        at=start.at if start else None,
        wall=start.wall if start else None,
        zone=start.zone if start else None,
        reason=standing.reason,
    )
