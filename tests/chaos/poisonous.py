"""Records that nobody can read, the few odd ones that everybody must read, and the way to Kafka for both."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaProducer

from libs.contracts.audience import Addresses, Audience, StoredAudience
from libs.contracts.commands import SendNotification
from libs.contracts.content import SmsContent
from libs.contracts.ids import event_id, new_notification_id
from libs.contracts.notification import Notification
from libs.contracts.routing import Channel, Lane, MessageClass
from tests.chaos.load import Planned, address

Headers = Sequence[tuple[str, bytes | None]]

TENANT = "demo"
GARBAGE = b"\x00\xff this is not JSON"
NULL_HEADER: Headers = (("traceparent", None), ("content-type", None))
STRANGE_HEADER: Headers = (("traceparent", b"\xff\xfe\xfd"), ("\u00e9", b"\x80"))
ODD_HEADERS: Sequence[Headers] = (NULL_HEADER, STRANGE_HEADER)
LARGE = 900 * 1024
MAX_REQUEST = 4 * 1024 * 1024


@dataclass(frozen=True)
class Poison:
    """One record. In `text` TYPE stands for the type that the topic should have."""

    name: str
    text: bytes | None
    headers: Headers = ()

    def value(self, kind: str) -> bytes | None:
        """The bytes for a topic of messages of this type."""
        return None if self.text is None else self.text.replace(b"TYPE", kind.encode())


def _envelope(kind: str, *, version: int = 1, tenant: str = TENANT) -> bytes:
    return json.dumps(
        {
            "type": kind,
            "version": version,
            "event_id": "0190a0a0-0000-5000-8000-000000000000",
            "tenant": tenant,
            "key": "k",
            "occurred_at": "2026-01-01T00:00:00Z",
        }
    ).encode()


POISONS = (
    Poison("NULL header, no value", None, NULL_HEADER),
    Poison("non-UTF-8 header", GARBAGE, STRANGE_HEADER),
    Poison("empty", b""),
    Poison("truncated", _envelope("TYPE")[:-20]),
    Poison("large", b'{"type": "TYPE", "text": "' + b"x" * LARGE),
    Poison("unknown type", _envelope("send.nothing")),
    Poison("future major", _envelope("TYPE", version=99)),
    Poison("wrong tenant", _envelope("TYPE", tenant="No Such Tenant")),
)


class Producing:
    """An internal producer: whatever it is given, on any topic."""

    def __init__(self, servers: str) -> None:
        self._producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", max_request_size=MAX_REQUEST)

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._producer.stop()

    async def send(self, topic: str, value: bytes | None, headers: Headers = ()) -> tuple[int, int]:
        """The partition and offset it has now."""
        record = await self._producer.send_and_wait(topic, value, key=b"chaos", headers=list(headers))
        return record.partition, record.offset

    async def send_all(self, topic: str, partition: int, values: Sequence[bytes]) -> list[int]:
        """Their offsets."""
        futures = [await self._producer.send(topic, value, partition=partition) for value in values]
        return [(await future).offset for future in futures]


def call_of(call: Planned, to: Audience | None = None) -> SendNotification:
    """A call as a producer on the bus makes it."""
    notification = new_notification_id(datetime.now(UTC))
    return SendNotification(
        event_id=event_id(notification, SendNotification.TYPE, 0),
        tenant=TENANT,
        key=str(notification),
        occurred_at=datetime.now(UTC),
        dialect="native",
        notifications=(
            Notification(
                notification_id=notification,
                lane=Lane.BULK if call.count > 1 else Lane.URGENT,
                channel=Channel.SMS,
                to=to or _listed(call),
                content=SmsContent(text=call.marker),
                message_class=MessageClass.BULK if call.count > 1 else MessageClass.TRANSACTIONAL,
            ),
        ),
    )


def missing_list(call: Planned) -> tuple[SendNotification, str, bytes]:
    """A call that names a list nobody has stored; the hash it goes by, and the list."""
    body = _listed(call).model_dump_json().encode()
    sha256 = hashlib.sha256(body).hexdigest()
    return call_of(call, StoredAudience(sha256=sha256, size=len(body), count=call.count)), sha256, body


def _listed(call: Planned) -> Addresses:
    return Addresses(addresses=tuple(address(call.first + offset) for offset in range(call.count)))
