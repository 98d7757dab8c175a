"""Events: noun first, they say what happened and anyone may listen."""

from typing import Annotated, ClassVar, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, model_validator

from libs.contracts.envelope import Message
from libs.contracts.ids import ChunkId, NotificationId
from libs.contracts.model import require_same_length
from libs.contracts.notification import Callback, Notification
from libs.contracts.routing import Channel, Lane
from libs.contracts.states import DeliveryState, Gate, NotificationState


class NotificationAccepted(Message):
    """Ingest validated and stored a notification; it will be sent unless somebody stops it. `waits`: its instant was
    still to come by ingest's clock at `occurred_at`, so the scheduler holds it; the others went on at once."""

    TYPE: ClassVar[str] = "notification.accepted"

    type: Literal["notification.accepted"] = "notification.accepted"
    notification: Notification
    dialect: Annotated[str, Field(max_length=32)]
    waits: bool = False
    trace_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None


class NotificationRejected(Message):
    """What only ingest could find wrong. `origin` says where the request came from (dialect, or topic and offset);
    `request_id` is the sender's own id where it gave one; there is no notification id when none could be read."""

    TYPE: ClassVar[str] = "notification.rejected"

    type: Literal["notification.rejected"] = "notification.rejected"
    notification_id: NotificationId | None = None
    request_id: Annotated[str, Field(max_length=255)] | None = None
    origin: Annotated[str, Field(max_length=400)]
    reason: Annotated[str, Field(max_length=2000)]


CANCELLED_RULE = "cancelled"
"""The rule of whoever was asked for once more (a fallback, a resend) when the notification was cancelled meanwhile."""


class NotificationControlled(Message):
    """The control state now in force. `revision` counts up with each change: a lower one is old news.

    `waits`: it was not released, so nothing of it is anywhere but with the scheduler; `at`, `wall` and `zone` are then
    the start that holds. `reason` says why where nobody asked for it (a start that was missed).
    """

    TYPE: ClassVar[str] = "notification.controlled"

    type: Literal["notification.controlled"] = "notification.controlled"
    notification_id: NotificationId
    gate: Gate
    revision: Annotated[int, Field(ge=1)]
    waits: bool = False
    at: AwareDatetime | None = None
    wall: Annotated[str, Field(max_length=32)] | None = None
    zone: Annotated[str, Field(max_length=64)] | None = None
    reason: Annotated[str, Field(max_length=200)] = ""


class DeliverySettled(Message):
    """Deliveries that are over, in columns, of a notification whose caller asked to hear of it. `at[i]` is when it was
    known; a correction of a final state makes another event."""

    TYPE: ClassVar[str] = "delivery.settled"

    type: Literal["delivery.settled"] = "delivery.settled"
    notification_id: NotificationId
    callback: Callback
    external: dict[str, str] = Field(default_factory=dict)
    delivery_ids: Annotated[tuple[UUID, ...], Field(min_length=1)]
    client_ids: Annotated[tuple[int | None, ...], Field(min_length=1)]
    addresses: Annotated[tuple[str | None, ...], Field(min_length=1)]
    states: Annotated[tuple[DeliveryState, ...], Field(min_length=1)]
    reasons: Annotated[tuple[str, ...], Field(min_length=1)]
    at: Annotated[tuple[AwareDatetime, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def columns_agree(self) -> Self:
        """Refuse columns of different length."""
        require_same_length(self.delivery_ids, self.client_ids, self.addresses, self.states, self.reasons, self.at)
        return self


class NotificationCompleted(Message):
    """Nothing more of a notification is to be sent, and its caller asked to hear of it: `state` is done or cancelled,
    `counts` how many deliveries stand in which state."""

    TYPE: ClassVar[str] = "notification.completed"

    type: Literal["notification.completed"] = "notification.completed"
    notification_id: NotificationId
    callback: Callback
    external: dict[str, str] = Field(default_factory=dict)
    state: NotificationState
    planned: Annotated[int, Field(ge=0)]
    suppressed: Annotated[int, Field(ge=0)]
    counts: dict[DeliveryState, int]


class DeliverySuppressed(Message):
    """People of an audience who get nothing, each with the rule that said so. Numbers are consecutive from
    `first_number`, unless `numbers` says them."""

    TYPE: ClassVar[str] = "delivery.suppressed"

    type: Literal["delivery.suppressed"] = "delivery.suppressed"
    notification_id: NotificationId
    channel: Channel
    step: Annotated[int, Field(ge=0, le=15)] = 0
    generation: Annotated[int, Field(ge=0)] = 0
    first_number: Annotated[int, Field(ge=0)]
    client_ids: Annotated[tuple[int | None, ...], Field(min_length=1)]
    rules: Annotated[tuple[str, ...], Field(min_length=1)]
    numbers: Annotated[tuple[int, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def columns_agree(self) -> Self:
        """Refuse columns of different length."""
        require_same_length(self.client_ids, self.rules, *([] if self.numbers is None else [self.numbers]))
        return self


class NotificationExpanded(Message):
    """The last page is out: the totals that progress and completion count against. A fallback or a resend is several
    expansions of one step and generation, each a `part`."""

    TYPE: ClassVar[str] = "notification.expanded"

    type: Literal["notification.expanded"] = "notification.expanded"
    notification_id: NotificationId
    step: Annotated[int, Field(ge=0, le=15)] = 0
    generation: Annotated[int, Field(ge=0)] = 0
    part: Annotated[int, Field(ge=0)] = 0
    planned: Annotated[int, Field(ge=0)]
    suppressed: Annotated[int, Field(ge=0)]


class DeliveryAttempted(Message):
    """What one claimed window of a chunk came to, in columns.

    `states[i]` is where delivery `numbers[i]` stands after attempt `attempts[i]`: sent, or retrying (another attempt
    will come), or a final failure, or unknown. `reasons[i]` is empty for what was sent; `provider_message_ids[i]` is
    empty where the carrier gave none. `slipped`: it was claimed before a cancel took effect and finished after it.
    """

    TYPE: ClassVar[str] = "delivery.attempted"

    type: Literal["delivery.attempted"] = "delivery.attempted"
    claim_id: UUID
    chunk_id: ChunkId
    notification_id: NotificationId
    lane: Lane
    channel: Channel
    step: Annotated[int, Field(ge=0, le=15)] = 0
    generation: Annotated[int, Field(ge=0)] = 0
    provider: Annotated[str, Field(max_length=64)]
    finished_at: AwareDatetime
    numbers: Annotated[tuple[int, ...], Field(min_length=1)]
    attempts: Annotated[tuple[int, ...], Field(min_length=1)]
    states: Annotated[tuple[DeliveryState, ...], Field(min_length=1)]
    reasons: Annotated[tuple[str, ...], Field(min_length=1)]
    provider_message_ids: Annotated[tuple[str, ...], Field(min_length=1)]
    slipped: bool = False

    @model_validator(mode="after")
    def columns_agree(self) -> Self:
        """Refuse columns of different length."""
        require_same_length(self.numbers, self.attempts, self.states, self.reasons, self.provider_message_ids)
        return self


class ReceiptReceived(Message):
    """What a carrier told later, in columns: its own message ids, the state each report means to us, its raw code and
    its own clock. The tenant is `PLATFORM`: only the tracker can tell whose message it was."""

    TYPE: ClassVar[str] = "receipt.received"

    type: Literal["receipt.received"] = "receipt.received"
    provider: Annotated[str, Field(max_length=64)]
    received_at: AwareDatetime
    provider_message_ids: Annotated[tuple[str, ...], Field(min_length=1)]
    states: Annotated[tuple[DeliveryState, ...], Field(min_length=1)]
    codes: Annotated[tuple[str, ...], Field(min_length=1)]
    reported_at: Annotated[tuple[AwareDatetime, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def columns_agree(self) -> Self:
        """Refuse columns of different length."""
        require_same_length(self.provider_message_ids, self.states, self.codes, self.reported_at)
        return self
