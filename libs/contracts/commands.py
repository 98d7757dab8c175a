"""Commands: verb first, exactly one service acts on each."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from libs.contracts.content import Content
from libs.contracts.envelope import Message
from libs.contracts.ids import ChunkId, NotificationId
from libs.contracts.model import require_same_length
from libs.contracts.notification import Notification
from libs.contracts.routing import Channel, Lane, MessageClass

MAX_CHUNK = 500


class SendNotification(Message):
    """One call, however many notifications it holds, so that a call is never half accepted."""

    TYPE: ClassVar[str] = "send.notification"

    type: Literal["send.notification"] = "send.notification"
    dialect: Annotated[str, Field(max_length=32)]
    notifications: Annotated[tuple[Notification, ...], Field(min_length=1)]


class ExpandAudience(Message):
    """Turn one page of a notification's audience into chunks. `cursor` says where the page begins (none: at the start);
    `next_number` is the first recipient number not yet given out."""

    TYPE: ClassVar[str] = "expand.audience"

    type: Literal["expand.audience"] = "expand.audience"
    notification: Notification
    step: Annotated[int, Field(ge=0, le=15)] = 0
    generation: Annotated[int, Field(ge=0)] = 0
    page: Annotated[int, Field(ge=0)] = 0
    cursor: Annotated[str, Field(max_length=500)] | None = None
    next_number: Annotated[int, Field(ge=0)] = 0


class SendDeliveries(Message):
    """A chunk of up to 500 deliveries of one notification on one channel: what is common once, the rest in columns.

    The recipients' numbers are consecutive: the i-th has number `first_number + i`. `client_ids[i]` is none for a
    recipient that was given by address.
    """

    TYPE: ClassVar[str] = "send.deliveries"

    type: Literal["send.deliveries"] = "send.deliveries"
    chunk_id: ChunkId
    notification_id: NotificationId
    lane: Lane
    channel: Channel
    step: Annotated[int, Field(ge=0, le=15)] = 0
    generation: Annotated[int, Field(ge=0)] = 0
    message_class: MessageClass
    expires_at: AwareDatetime | None = None
    content: Content
    first_number: Annotated[int, Field(ge=0)]
    client_ids: Annotated[tuple[int | None, ...], Field(min_length=1, max_length=MAX_CHUNK)]
    addresses: Annotated[tuple[str, ...], Field(min_length=1, max_length=MAX_CHUNK)]

    @model_validator(mode="after")
    def columns_agree(self) -> Self:
        """Refuse columns of different length."""
        require_same_length(self.client_ids, self.addresses)
        return self
