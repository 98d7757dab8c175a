"""Events as the other services would tell them, and a way to tell them."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from libs.bus import Outgoing, Received
from libs.contracts.audience import ClientIds
from libs.contracts.commands import ExpandAudience, SendDeliveries
from libs.contracts.content import SmsContent, ViberContent
from libs.contracts.envelope import PLATFORM, Message
from libs.contracts.events import (
    DeliveryAttempted,
    DeliverySuppressed,
    NotificationAccepted,
    NotificationControlled,
    NotificationExpanded,
    NotificationRejected,
    ReceiptReceived,
)
from libs.contracts.ids import NotificationId, chunk_id, new_notification_id
from libs.contracts.notification import Callback, Fallback, Notification
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.contracts.states import DeliveryState, Gate
from libs.storage import Database
from services.tracker.answers import progress_answer
from services.tracker.handlers import TrackerHandlers
from services.tracker.lifecycle import CODES, STATES
from services.tracker.outbox import Outbox
from services.tracker.repository import QueryRepository

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TENANT = "demo"
PROVIDER = "http_smsc"
URL = "https://example.com/hook"
Outcome = tuple[int, DeliveryState, str, str]
"""Number, state, reason, the provider's message id."""


def new_id() -> NotificationId:
    """Some notification's id."""
    return new_notification_id(NOON)


def envelope(tenant: str = TENANT, at: datetime = NOON) -> dict[str, Any]:
    """What every message carries."""
    return {"event_id": uuid4(), "tenant": tenant, "key": "k", "occurred_at": at}


def accepted(
    notification: NotificationId,
    *,
    at: datetime | None = None,
    tenant: str = TENANT,
    people: int = 3,
    after: Sequence[float] = (),
    callback: bool = False,
) -> NotificationAccepted:
    """Ingest took it. `after`: a fallback to Viber so many seconds after each step."""
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
            fallback=tuple(
                Fallback(
                    channel=Channel.VIBER,
                    after=timedelta(seconds=seconds),
                    content=ViberContent(text=f"Hello, step {step}"),
                )
                for step, seconds in enumerate(after, 1)
            ),
            callback=Callback(url=URL, dialect="native", data={"own": "x"}) if callback else None,
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
    part: int = 0,
) -> NotificationExpanded:
    """The totals."""
    return NotificationExpanded(
        **envelope(tenant),
        notification_id=notification,
        planned=planned,
        suppressed=suppressed,
        step=step,
        generation=generation,
        part=part,
    )


def planned(
    notification: NotificationId,
    first: int,
    count: int,
    *,
    tenant: str = TENANT,
    generation: int = 0,
    step: int = 0,
    numbers: Sequence[int] | None = None,
    at: datetime = NOON,
) -> SendDeliveries:
    """A chunk: client 1000 + number, phone +48 and the number."""
    given = tuple(range(first, first + count) if numbers is None else numbers)
    return SendDeliveries(
        **envelope(tenant, at),
        chunk_id=chunk_id(notification, first, step=step, generation=generation),
        notification_id=notification,
        lane=Lane.BULK,
        channel=Channel.SMS,
        step=step,
        generation=generation,
        message_class=MessageClass.BULK,
        content=SmsContent(text="Hello"),
        first_number=first,
        client_ids=tuple(1000 + number for number in given),
        addresses=tuple(f"+48{number:09}" for number in given),
        numbers=None if numbers is None else given,
    )


def suppressed(
    notification: NotificationId,
    first: int,
    rules: Sequence[str],
    *,
    tenant: str = TENANT,
    step: int = 0,
    generation: int = 0,
    numbers: Sequence[int] | None = None,
) -> DeliverySuppressed:
    """Who gets nothing."""
    given = tuple(range(first, first + len(rules)) if numbers is None else numbers)
    return DeliverySuppressed(
        **envelope(tenant),
        notification_id=notification,
        channel=Channel.SMS,
        step=step,
        generation=generation,
        first_number=first,
        client_ids=tuple(1000 + number for number in given),
        rules=tuple(rules),
        numbers=None if numbers is None else given,
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
    slipped: bool = False,
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
        slipped=slipped,
    )


def controlled(
    notification: NotificationId, gate: Gate, revision: int, *, tenant: str = TENANT, **more: Any
) -> NotificationControlled:
    """What the scheduler says is in force."""
    return NotificationControlled(
        **envelope(tenant), notification_id=notification, gate=gate, revision=revision, **more
    )


def answers(command: ExpandAudience, *, suppress: Collection[int] = (), rule: str = "no_address") -> list[Message]:
    """What the audience says to a command about recipients; those with the numbers in `suppress` get nothing, by
    `rule`."""
    assert command.recipients is not None
    notification = command.notification.notification_id
    place: dict[str, Any] = {"tenant": command.tenant, "step": command.step, "generation": command.generation}
    sent = [number for number in command.recipients.numbers if number not in suppress]
    left_out = [number for number in command.recipients.numbers if number in suppress]
    said: list[Message] = []
    if sent:
        said.append(planned(notification, sent[0], len(sent), numbers=sent, at=command.occurred_at, **place))
    if left_out:
        rules = [rule] * len(left_out)
        said.append(suppressed(notification, left_out[0], rules, numbers=left_out, **place))
    return [*said, expanded(notification, len(sent), len(left_out), part=command.page, **place)]


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
        NotificationControlled: handlers.on_notification_controlled,
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


class Post:
    """What the outbox publishes, as a bus would take it."""

    def __init__(self, database: Database) -> None:
        self.taken: list[Outgoing] = []
        self._outbox = Outbox(database, self._publish, pause=timedelta(milliseconds=1))

    async def _publish(self, outgoing: Sequence[Outgoing]) -> None:
        self.taken += outgoing

    async def collect(self) -> list[Any]:
        """The messages that were in the outbox."""
        before, count = len(self.taken), -1
        while count != len(self.taken):
            count = len(self.taken)
            await self._outbox.run()
        return [outgoing.message for outgoing in self.taken[before:]]


async def shown(books: QueryRepository, notification: NotificationId) -> Any:
    """What a caller is shown of a notification that is known."""
    progress = await books.notification(TENANT, notification)
    assert progress is not None
    return progress_answer(notification, progress)
