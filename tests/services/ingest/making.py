"""Builders for ingest's tests."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from libs.bus import RawRecord, Received
from libs.contracts.audience import Addresses, ClientIds
from libs.contracts.commands import SendNotification
from libs.contracts.content import SmsContent
from libs.contracts.ids import NotificationId, new_notification_id
from libs.contracts.notification import Notification
from libs.contracts.routing import Channel, Lane, MessageClass
from services.ingest.decoding import Decoder
from services.ingest.submission import Submission

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
DAY = timedelta(days=1)


def some_id() -> NotificationId:
    return new_notification_id(NOW)


def notification(**changes: Any) -> Notification:
    values: dict[str, Any] = {
        "notification_id": some_id(),
        "lane": Lane.URGENT,
        "channel": Channel.SMS,
        "to": ClientIds(client_ids=(17,)),
        "content": SmsContent(text="hello"),
        "message_class": MessageClass.TRANSACTIONAL,
    }
    return Notification(**{**values, **changes})


def phones(*addresses: str) -> Addresses:
    return Addresses(addresses=addresses)


def command(*notifications: Notification, **changes: Any) -> SendNotification:
    values: dict[str, Any] = {
        "event_id": uuid4(),
        "tenant": "demo",
        "key": "client:17",
        "occurred_at": NOW,
        "dialect": "native",
        "notifications": notifications or (notification(),),
    }
    return SendNotification(**{**values, **changes})


def plain(**changes: Any) -> dict[str, Any]:
    """An internal producer's record; a change to ... takes a field out."""
    values = {
        "id": "order-7",
        "tenant": "demo",
        "channel": "sms",
        "to": {"client_ids": [17]},
        "content": {"text": "hello"},
    }
    return {name: value for name, value in {**values, **changes}.items() if value is not ...}


def cloud(data: Any, **changes: Any) -> dict[str, Any]:
    values = {"specversion": "1.0", "id": "e-1", "source": "/loans", "type": "loan.created", "data": data}
    return {name: value for name, value in {**values, **changes}.items() if value is not ...}


def raw(
    value: bytes | dict[str, Any] | SendNotification | None, *, lane: str = "urgent", offset: int = 41
) -> RawRecord:
    if isinstance(value, dict):
        value = json.dumps(value).encode()
    elif isinstance(value, SendNotification):
        value = value.model_dump_json().encode()
    return RawRecord(f"send.notification.{lane}", 3, offset, NOW, b"k", value, [("h", None)])


def received(*records: RawRecord, traceparent: str | None = TRACEPARENT) -> Sequence[Received[Submission]]:
    decode = Decoder(lambda: NOW)
    return [
        Received(decode(record), record.topic, record.partition, record.offset, record.timestamp, traceparent)
        for record in records
    ]


def batch(*values: dict[str, Any] | SendNotification, lane: str = "urgent") -> Sequence[Received[Submission]]:
    return received(*(raw(value, lane=lane, offset=offset) for offset, value in enumerate(values)))


NOT_AN_ID = UUID("5f0c1a52-3a9e-4d0b-8a37-0d6a1f3b9e11")
