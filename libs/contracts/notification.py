"""What was asked once."""

import hashlib
from datetime import timedelta
from typing import Annotated

from pydantic import AwareDatetime, Field

from libs.contracts.audience import Addresses, Audience, ClientIds
from libs.contracts.content import Content
from libs.contracts.ids import MAX_STEP, NotificationId
from libs.contracts.model import Model
from libs.contracts.routing import Channel, Lane, MessageClass


class Fallback(Model):
    """What is tried for whoever has not got the message `after` the step before it was planned."""

    channel: Channel
    after: Annotated[timedelta, Field(ge=timedelta(seconds=1), le=timedelta(days=7))]
    content: Content


class Callback(Model):
    """Where the caller wants to hear what became of it, in the words of which API. `data` is that API's own."""

    url: Annotated[str, Field(min_length=1, max_length=2048)]
    dialect: Annotated[str, Field(max_length=32)]
    data: dict[str, str] = Field(default_factory=dict)


class Notification(Model):
    """One notification: to whom, on which channel, in what words, when.

    `at` is the instant it may leave (none: at once); where the caller gave a wall-clock time, `wall` is that time (ISO
    8601 without an offset) and `zone` the IANA name it was meant in. `fallback[i]` is step i + 1. `external` holds the
    ids a foreign API answered with. `event` and `sender_key` are the internal producer's own names for the cause.
    """

    notification_id: NotificationId
    lane: Lane
    channel: Channel
    to: Audience
    content: Content
    message_class: MessageClass
    at: AwareDatetime | None = None
    zone: Annotated[str, Field(max_length=64)] | None = None
    wall: Annotated[str, Field(max_length=32)] | None = None
    expires_at: AwareDatetime | None = None
    ordering_key: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    fallback: Annotated[tuple[Fallback, ...], Field(max_length=MAX_STEP)] = ()
    callback: Callback | None = None
    external: dict[str, str] = Field(default_factory=dict)
    event: Annotated[str, Field(max_length=200)] | None = None
    sender_key: Annotated[str, Field(max_length=200)] | None = None


def order_key(notification: Notification) -> str:
    """What keeps the notification's order on the bus: its ordering key, else its single recipient, else itself.

    Message keys show up where values do not (tools, spans). Of an address they hold 16 bits of a hash: enough to keep
    its order, too few to find it by trying all numbers.
    """
    if notification.ordering_key is not None:
        return notification.ordering_key
    match notification.to:
        case ClientIds(client_ids=(only,)):
            return f"client:{only}"
        case Addresses(addresses=(only,)):
            return f"address:{hashlib.sha256(only.encode()).hexdigest()[:4]}"
        case _:
            return str(notification.notification_id)
