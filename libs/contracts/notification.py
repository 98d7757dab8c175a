"""What was asked once."""

import hashlib
from typing import Annotated

from pydantic import AwareDatetime, Field

from libs.contracts.audience import Addresses, Audience, ClientIds
from libs.contracts.content import Content
from libs.contracts.ids import NotificationId
from libs.contracts.model import Model
from libs.contracts.routing import Channel, Lane, MessageClass


class Notification(Model):
    """One notification: to whom, on which channel, in what words, when.

    `at` is the instant it may leave (none: at once); `zone` is the IANA name the caller meant it in. `external` holds
    the ids a foreign API answered with. `event` and `sender_key` are the internal producer's own names for the cause.
    """

    notification_id: NotificationId
    lane: Lane
    channel: Channel
    to: Audience
    content: Content
    message_class: MessageClass
    at: AwareDatetime | None = None
    zone: Annotated[str, Field(max_length=64)] | None = None
    expires_at: AwareDatetime | None = None
    ordering_key: Annotated[str, Field(min_length=1, max_length=200)] | None = None
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
