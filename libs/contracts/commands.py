"""Commands: verb first, exactly one service acts on each."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from libs.contracts.content import Content
from libs.contracts.envelope import Message
from libs.contracts.ids import ChunkId, NotificationId
from libs.contracts.model import Model, require_same_length
from libs.contracts.notification import Notification
from libs.contracts.routing import Channel, Lane, MessageClass

MAX_CHUNK = 500


class SendNotification(Message):
    """One call, however many notifications it holds, so that a call is never half accepted."""

    TYPE: ClassVar[str] = "send.notification"

    type: Literal["send.notification"] = "send.notification"
    dialect: Annotated[str, Field(max_length=32)]
    notifications: Annotated[tuple[Notification, ...], Field(min_length=1)]


class Recipients(Model):
    """Recipients of an earlier step or generation, in columns, by ascending number. Who is known by `client_ids[i]` is
    looked up afresh; `addresses[i]` is what a recipient without one was given by."""

    numbers: Annotated[tuple[int, ...], Field(min_length=1, max_length=MAX_CHUNK)]
    client_ids: Annotated[tuple[int | None, ...], Field(min_length=1, max_length=MAX_CHUNK)]
    addresses: Annotated[tuple[str | None, ...], Field(min_length=1, max_length=MAX_CHUNK)]

    @model_validator(mode="after")
    def columns_agree(self) -> Self:
        """Refuse columns of different length."""
        require_same_length(self.numbers, self.client_ids, self.addresses)
        return self


class ExpandAudience(Message):
    """Turn one page of a notification's audience into chunks. `cursor` says where the page begins (none: at the start);
    `next_number` is the first recipient number not yet given out.

    With `recipients` (a fallback or a resend) it is about these alone: they keep their numbers, there is no next page,
    and `page` tells one such command of a step and generation from another. `notification` has the channel and the
    content of the step.
    """

    TYPE: ClassVar[str] = "expand.audience"

    type: Literal["expand.audience"] = "expand.audience"
    notification: Notification
    step: Annotated[int, Field(ge=0, le=15)] = 0
    generation: Annotated[int, Field(ge=0)] = 0
    page: Annotated[int, Field(ge=0)] = 0
    cursor: Annotated[str, Field(max_length=500)] | None = None
    next_number: Annotated[int, Field(ge=0)] = 0
    recipients: Recipients | None = None


class SendDeliveries(Message):
    """A chunk of up to 500 deliveries of one notification on one channel: what is common once, the rest in columns.

    The recipients' numbers are consecutive, the i-th has number `first_number + i`, unless `numbers` says them (then
    `first_number` is the first of these). `client_ids[i]` is none for a recipient that was given by address.
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
    numbers: Annotated[tuple[int, ...], Field(min_length=1, max_length=MAX_CHUNK)] | None = None

    @model_validator(mode="after")
    def columns_agree(self) -> Self:
        """Refuse columns of different length."""
        require_same_length(self.client_ids, self.addresses, *([] if self.numbers is None else [self.numbers]))
        return self

    def number_at(self, ordinal: int) -> int:
        """The recipient number of the delivery at this place."""
        return self.first_number + ordinal if self.numbers is None else self.numbers[ordinal]


class ControlAction(StrEnum):
    """What can be done to a notification that was accepted."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RESCHEDULE = "reschedule"


class ControlNotification(Message):
    """Pause, resume, cancel or reschedule a notification; it may come before its acceptance. `at`, `wall` and `zone`
    are the new start where it is rescheduled, as in Notification."""

    TYPE: ClassVar[str] = "control.notification"

    type: Literal["control.notification"] = "control.notification"
    notification_id: NotificationId
    action: ControlAction
    at: AwareDatetime | None = None
    wall: Annotated[str, Field(max_length=32)] | None = None
    zone: Annotated[str, Field(max_length=64)] | None = None

    @model_validator(mode="after")
    def a_new_start_is_given(self) -> Self:
        """Refuse to reschedule to nowhere."""
        if (self.action is ControlAction.RESCHEDULE) != (self.at is not None):
            raise ValueError("at is given to reschedule, and only then")
        return self
