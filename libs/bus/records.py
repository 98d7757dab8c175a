"""What passes between the bus and a handler, as plain values."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from libs.contracts.dead_letters import DeadLetter, Headers
from libs.contracts.envelope import Message
from libs.contracts.topics import Topic

M = TypeVar("M", bound=Message)
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record as Kafka holds it. `topic` is its name in the topic table, without the prefix; `timestamp` is the
    producer's clock."""

    topic: str
    partition: int
    offset: int
    timestamp: datetime
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Received(Generic[M]):
    """A message and where it stood."""

    message: M
    topic: str
    partition: int
    offset: int
    timestamp: datetime
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish.

    `partition` none: that of the message's tenant and key. `traceparent` none: that of the record in the batch whose
    event id is the message's causation id, else the current span's.
    """

    topic: Topic[Message]
    message: Message
    partition: int | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """What follows from a batch. `committed` runs right after the transaction committed and before anything is
    published; it must not raise."""

    publish: Sequence[Outgoing] = ()
    committed: Callable[[], None] | None = None


Handler = Callable[[Sequence[Received[M]], C], Awaitable[Effect]]
Decode = Callable[[RawRecord], M]
Rejected = Callable[[DeadLetter], Sequence[Outgoing]]


class Transactions(Protocol[C]):
    """The store a subscription writes to: one transaction for the good records and the dead letters of a batch.

    Its infrastructure errors are `Unavailable`; `bury` is idempotent on (topic, partition, offset).
    """

    def transaction(self) -> AbstractAsyncContextManager[C]:
        """Begin; commit when the block ends, roll back when it raises."""
        ...

    async def bury(self, connection: C, letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters, in the transaction of `connection`."""
        ...
