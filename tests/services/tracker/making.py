"""Events as the other services would tell them, and a way to tell them."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from libs.bus import Received
from libs.contracts.audience import ClientIds
from libs.contracts.commands import SendDeliveries
from libs.contracts.content import SmsContent
from libs.contracts.envelope import PLATFORM, Message
from libs.contracts.events import (
    DeliveryAttempted,
    DeliverySuppressed,
    NotificationAccepted,
    NotificationExpanded,
    NotificationRejected,
    ReceiptReceived,
)
from libs.contracts.ids import NotificationId, chunk_id, new_notification_id
from libs.contracts.notification import Notification
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.contracts.states import DeliveryState
from libs.storage import Database
from services.tracker.handlers import TrackerHandlers
from services.tracker.lifecycle import CODES, STATES

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TENANT = "demo"
PROVIDER = "http_smsc"
Outcome = tuple[int, DeliveryState, str, str]
"""Number, state, reason, the provider's message id."""


def new_id() -> NotificationId:
    """Some notification's id."""
    return new_notification_id(NOON)


def envelope(tenant: str = TENANT, at: datetime = NOON) -> dict[str, Any]:
    """What every message carries."""
    return {"event_id": uuid4(), "tenant": tenant, "key": "k", "occurred_at": at}


def accepted(
    notification: NotificationId, *, at: datetime | None = None, tenant: str = TENANT, people: int = 3
) -> NotificationAccepted:
    """Ingest took it."""
    return NotificationAccepted(
        **envelope(tenant),
        dialect="native",
        trace_id="ab" * 16,
        notification=Notification(
            notification_id=notification,
            lane=Lane.BULK,
            channel=Channel.SMS,
            to=ClientIds(client_ids=tuple(range(people))),
            content=SmsContent(text="Hello"),
            message_class=MessageClass.BULK,
            at=at,
            external={"sms_id": "17"},
        ),
    )


def rejected(notification: NotificationId | None, reason: str = "no such template") -> NotificationRejected:
    """Ingest did not take it."""
    return NotificationRejected(**envelope(), notification_id=notification, origin="native", reason=reason)


def expanded(
    notification: NotificationId,
    planned: int,
    suppressed: int = 0,
    *,
    tenant: str = TENANT,
    step: int = 0,
    generation: int = 0,
) -> NotificationExpanded:
    """The totals."""
    return NotificationExpanded(
        **envelope(tenant),
        notification_id=notification,
        planned=planned,
        suppressed=suppressed,
        step=step,
        generation=generation,
    )


def planned(
    notification: NotificationId,
    first: int,
    count: int,
    *,
    tenant: str = TENANT,
    generation: int = 0,
    step: int = 0,
) -> SendDeliveries:
    """A chunk: client 1000 + number, phone +48 and the number."""
    return SendDeliveries(
        **envelope(tenant),
        chunk_id=chunk_id(notification, first, step=step, generation=generation),
        notification_id=notification,
        lane=Lane.BULK,
        channel=Channel.SMS,
        step=step,
        generation=generation,
        message_class=MessageClass.BULK,
        content=SmsContent(text="Hello"),
        first_number=first,
        client_ids=tuple(1000 + number for number in range(first, first + count)),
        addresses=tuple(f"+48{number:09}" for number in range(first, first + count)),
    )


def suppressed(
    notification: NotificationId, first: int, rules: Sequence[str], *, tenant: str = TENANT
) -> DeliverySuppressed:
    """Who gets nothing."""
    return DeliverySuppressed(
        **envelope(tenant),
        notification_id=notification,
        channel=Channel.SMS,
        first_number=first,
        client_ids=tuple(1000 + number for number in range(first, first + len(rules))),
        rules=tuple(rules),
    )


def attempted(
    notification: NotificationId,
    outcomes: Sequence[Outcome],
    *,
    attempt: int = 1,
    after: float = 1,
    tenant: str = TENANT,
    generation: int = 0,
    step: int = 0,
) -> DeliveryAttempted:
    """A window's outcomes, `after` seconds past noon."""
    numbers, states, reasons, message_ids = zip(*outcomes, strict=True)
    return DeliveryAttempted(
        **envelope(tenant),
        claim_id=uuid4(),
        chunk_id=chunk_id(notification, numbers[0]),
        notification_id=notification,
        lane=Lane.BULK,
        channel=Channel.SMS,
        step=step,
        generation=generation,
        provider=PROVIDER,
        finished_at=NOON + timedelta(seconds=after),
        numbers=numbers,
        attempts=(attempt,) * len(numbers),
        states=states,
        reasons=reasons,
        provider_message_ids=message_ids,
    )


def reported(reports: Sequence[tuple[str, DeliveryState, str]], *, after: float = 60) -> ReceiptReceived:
    """A carrier's reports: its message id, the state, its code."""
    message_ids, states, codes = zip(*reports, strict=True)
    return ReceiptReceived(
        **envelope(PLATFORM),
        provider=PROVIDER,
        received_at=NOON + timedelta(seconds=after),
        provider_message_ids=message_ids,
        states=states,
        codes=codes,
        reported_at=(NOON + timedelta(seconds=after - 1),) * len(message_ids),
    )


async def tell(database: Database, handlers: TrackerHandlers, *messages: Message) -> None:
    """What the bus does with a batch of one topic: one transaction."""
    by_kind = {
        NotificationAccepted: handlers.on_notification_accepted,
        NotificationRejected: handlers.on_notification_rejected,
        NotificationExpanded: handlers.on_notification_expanded,
        SendDeliveries: handlers.on_send_deliveries,
        DeliverySuppressed: handlers.on_delivery_suppressed,
        DeliveryAttempted: handlers.on_delivery_attempted,
        ReceiptReceived: handlers.on_receipt_received,
    }
    handler: Any = by_kind[type(messages[0])]  # type: ignore[index]
    batch = [Received(message, message.type, 0, at, NOON, None) for at, message in enumerate(messages)]
    async with database.transaction() as connection:
        effect = await handler(batch, connection)
    if effect.committed is not None:
        effect.committed()


async def counters_and_recount(
    database: Database, notification: UUID, tenant: str = TENANT
) -> tuple[dict[str, int], dict[str, int]]:
    """What the counters say, and what the blocks hold."""
    async with database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT * FROM tracker.notification WHERE notification_id = $1 AND tenant = $2", notification, tenant
        )
        blocks = await connection.fetch(
            "SELECT states FROM tracker.block WHERE block_id >= $1 AND block_id <= $2 AND tenant = $3",
            notification,
            UUID(int=notification.int | 0xFFFFFFFF),
            tenant,
        )
    held = Counter(STATES[code].value for block in blocks for code in block["states"] if code)
    counted = {state.value: row[state.value] for state in CODES if row[state.value]} if row else {}
    return counted, dict(held)
