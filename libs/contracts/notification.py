"""What was asked once."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from libs.contracts.audience import Audience
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
