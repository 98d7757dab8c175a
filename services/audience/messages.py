"""What a frozen page says on the bus: its chunks, its suppressed, and the next page or the totals."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from libs.contracts.commands import ExpandAudience, SendDeliveries
from libs.contracts.envelope import Message, TenantId
from libs.contracts.events import DeliverySuppressed, NotificationExpanded
from libs.contracts.ids import chunk_id, event_id
from libs.contracts.topics import (
    DELIVERY_SUPPRESSED,
    EXPAND_AUDIENCE,
    NOTIFICATION_EXPANDED,
    SEND,
    Topic,
)
from services.audience.planning import PagePlan, PlannedChunk, SuppressedChunk


@dataclass(frozen=True, slots=True)
class Totals:
    """How many a notification's pages planned and suppressed."""

    planned: int
    suppressed: int


@dataclass(frozen=True, slots=True)
class FrozenPage:
    """A page's plan as it is stored, and when it was decided. `before` are the totals of the pages before it."""

    plan: PagePlan
    decided_at: datetime
    before: Totals = Totals(0, 0)


@dataclass(frozen=True, slots=True)
class Addressed:
    """A message, its topic, and its partition where the key does not decide it."""

    topic: Topic[Message]
    message: Message
    partition: int | None = None


class Envelope(TypedDict):
    """What a derived message has in common with its cause."""

    event_id: UUID
    tenant: TenantId
    occurred_at: datetime
    causation_id: UUID


def messages_of(command: ExpandAudience, page: FrozenPage) -> Iterator[Addressed]:
    """Everything the page leads to. The same command and page give equal messages, however often."""
    for chunk in page.plan.chunks:
        lanes = SEND[command.notification.channel]
        message = _send_deliveries(command, page, chunk)
        yield Addressed(lanes[command.notification.lane], message, chunk.partition)
    for suppressed in page.plan.suppressed:
        yield Addressed(DELIVERY_SUPPRESSED, _delivery_suppressed(command, page, suppressed))
    if page.plan.next_cursor is None:
        yield Addressed(NOTIFICATION_EXPANDED, _notification_expanded(command, page))
    else:
        yield Addressed(EXPAND_AUDIENCE[command.notification.lane], _next_page(command, page, page.plan.next_cursor))


def _envelope(command: ExpandAudience, page: FrozenPage, name: str, ordinal: int | str) -> Envelope:
    return {
        "event_id": event_id(command.event_id, name, ordinal),
        "tenant": command.tenant,
        "occurred_at": page.decided_at,
        "causation_id": command.event_id,
    }


def _send_deliveries(command: ExpandAudience, page: FrozenPage, chunk: PlannedChunk) -> SendDeliveries:
    notification = command.notification
    return SendDeliveries(
        **_envelope(command, page, SendDeliveries.TYPE, chunk.first_number),
        type="send.deliveries",
        key=str(chunk.partition),
        chunk_id=chunk_id(
            notification.notification_id, chunk.first_number, step=command.step, generation=command.generation
        ),
        notification_id=notification.notification_id,
        lane=notification.lane,
        channel=notification.channel,
        step=command.step,
        generation=command.generation,
        message_class=notification.message_class,
        expires_at=notification.expires_at,
        content=notification.content,
        first_number=chunk.first_number,
        client_ids=tuple(chunk.client_ids),
        addresses=tuple(chunk.addresses),
        numbers=None if chunk.numbers is None else tuple(chunk.numbers),
    )


def _delivery_suppressed(command: ExpandAudience, page: FrozenPage, chunk: SuppressedChunk) -> DeliverySuppressed:
    return DeliverySuppressed(
        **_envelope(command, page, DeliverySuppressed.TYPE, chunk.first_number),
        type="delivery.suppressed",
        key=str(command.notification.notification_id),
        notification_id=command.notification.notification_id,
        channel=command.notification.channel,
        step=command.step,
        generation=command.generation,
        first_number=chunk.first_number,
        client_ids=tuple(chunk.client_ids),
        rules=tuple(chunk.rules),
        numbers=None if chunk.numbers is None else tuple(chunk.numbers),
    )


def _notification_expanded(command: ExpandAudience, page: FrozenPage) -> NotificationExpanded:
    return NotificationExpanded(
        **_envelope(command, page, NotificationExpanded.TYPE, f"{command.step}:{command.generation}"),
        type="notification.expanded",
        key=str(command.notification.notification_id),
        notification_id=command.notification.notification_id,
        step=command.step,
        generation=command.generation,
        part=0 if command.recipients is None else command.page,
        planned=page.before.planned + page.plan.planned_count,
        suppressed=page.before.suppressed + page.plan.suppressed_count,
    )


def _next_page(command: ExpandAudience, page: FrozenPage, cursor: str) -> ExpandAudience:
    """Goes to the topic's tail, behind the pages of other notifications: that shares the lane among tenants."""
    return ExpandAudience(
        **_envelope(command, page, ExpandAudience.TYPE, command.page + 1),
        type="expand.audience",
        key=command.key,
        notification=command.notification,
        step=command.step,
        generation=command.generation,
        page=command.page + 1,
        cursor=cursor,
        next_number=page.plan.next_number,
    )
