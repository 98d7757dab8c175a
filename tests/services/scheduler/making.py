"""Builders for the scheduler's tests."""

from datetime import UTC, datetime, timedelta
from typing import Any

from libs.bus import Received
from libs.contracts.audience import ClientIds
from libs.contracts.content import SmsContent
from libs.contracts.events import NotificationAccepted
from libs.contracts.ids import event_id, new_notification_id
from libs.contracts.notification import Notification
from libs.contracts.routing import Channel, Lane, MessageClass

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


def notification(**changes: Any) -> Notification:
    values: dict[str, Any] = {
        "notification_id": new_notification_id(now()),
        "lane": Lane.BULK,
        "channel": Channel.SMS,
        "to": ClientIds(client_ids=(17,)),
        "content": SmsContent(text="hello"),
        "message_class": MessageClass.TRANSACTIONAL,
        "at": now() + HOUR,
    }
    return Notification(**{**values, **changes})


def accepted(one: Notification | None = None, *, waits: bool = True, tenant: str = "demo") -> NotificationAccepted:
    one = one or notification()
    return NotificationAccepted(
        event_id=event_id(one.notification_id, "notification.accepted", 0),
        tenant=tenant,
        key=str(one.notification_id),
        occurred_at=now(),
        notification=one,
        dialect="native",
        waits=waits,
    )


def received(*events: NotificationAccepted) -> list[Received[NotificationAccepted]]:
    return [
        Received(event, "notification.accepted", 0, offset, event.occurred_at, TRACEPARENT)
        for offset, event in enumerate(events)
    ]
