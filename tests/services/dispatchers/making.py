"""Chunks, windows and a scripted carrier for the dispatchers' tests."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from libs.bus import Outgoing, Received
from libs.contracts.commands import SendDeliveries
from libs.contracts.content import SmsContent
from libs.contracts.failures import Unavailable
from libs.contracts.ids import NotificationId, chunk_id, new_notification_id
from libs.contracts.outcomes import Accepted, Outcome
from libs.contracts.routing import Channel, Lane, MessageClass
from services.dispatchers.provider import Outbound
from services.dispatchers.staging import Staging
from services.dispatchers.windows import Window

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def make_chunk(
    size: int = 3,
    *,
    tenant: str = "demo",
    lane: Lane = Lane.BULK,
    message_class: MessageClass = MessageClass.BULK,
    first: int = 0,
    expires_at: datetime | None = None,
    notification: NotificationId | None = None,
    generation: int = 0,
    addresses: Sequence[str] | None = None,
) -> SendDeliveries:
    notification = notification or new_notification_id(datetime.now(UTC))
    return SendDeliveries(
        event_id=uuid4(),
        tenant=tenant,
        key=str(notification),
        occurred_at=NOON,
        chunk_id=chunk_id(notification, first, generation=generation),
        notification_id=notification,
        lane=lane,
        channel=Channel.SMS,
        generation=generation,
        message_class=message_class,
        expires_at=expires_at,
        content=SmsContent(text="Your table is ready"),
        first_number=first,
        client_ids=tuple(range(size)),
        addresses=tuple(addresses or (f"+4850{first + number:07d}" for number in range(size))),
    )


def received(chunk: SendDeliveries, *, partition: int = 0, offset: int = 0) -> Received[SendDeliveries]:
    return Received(chunk, f"send.sms.{chunk.lane}", partition, offset, NOON, None)


def staging(chunk: SendDeliveries, take: int = 0, *, partition: int = 0) -> Staging:
    return Staging(chunk, partition, None, take)


def make_window(
    chunk: SendDeliveries | None = None,
    *,
    submit_until: float = 1e9,
    expires: float = 1e9,
    ordinals: range | None = None,
) -> Window:
    chunk = chunk or make_chunk()
    return Window(uuid4(), chunk, ordinals or range(len(chunk.addresses)), submit_until, expires)


def in_future(**delay: float) -> datetime:
    return datetime.now(UTC) + timedelta(**delay)


class ScriptedCarrier:
    """Takes everything unless a script says otherwise; remembers what it was given."""

    name = "scripted"

    def __init__(self, batch: int = 100) -> None:
        self.batch = batch
        self.requests: list[list[Outbound]] = []
        self.script: Callable[[Outbound], Outcome] = lambda message: Accepted(f"id-{message.reference}")
        self.gate = asyncio.Event()
        self.gate.set()
        self.in_flight = 0
        self.most_in_flight = 0

    @property
    def references(self) -> list[str]:
        return [message.reference for request in self.requests for message in request]

    async def send(self, messages: Sequence[Outbound]) -> Sequence[Outcome]:
        self.requests.append(list(messages))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
            return [self.script(message) for message in messages]
        finally:
            self.in_flight -= 1


class RecordingBus:
    """What was published; away while `is_away`."""

    def __init__(self) -> None:
        self.published: list[Outgoing] = []
        self.is_away = False

    async def publish(self, outgoing: Sequence[Outgoing]) -> None:
        if self.is_away:
            raise Unavailable("no bus")
        self.published += outgoing


async def until(condition: Callable[[], bool], *, within: float = 10.0) -> None:
    """Poll until it holds."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)
