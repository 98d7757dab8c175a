"""Messages, a store in memory and patience, for the tests of the bus."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

from libs.bus import RawRecord
from libs.contracts.dead_letters import DeadLetter
from libs.contracts.events import NotificationExpanded
from libs.contracts.ids import new_notification_id

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def expanded(number: int = 0, *, key: str | None = None, causation_id: UUID | None = None) -> NotificationExpanded:
    """A message that carries a number."""
    return NotificationExpanded(
        event_id=uuid4(),
        tenant="demo",
        key=str(number) if key is None else key,
        occurred_at=NOW,
        causation_id=causation_id,
        notification_id=new_notification_id(NOW),
        planned=number,
        suppressed=0,
    )


def raw(
    value: bytes | None,
    offset: int = 0,
    *,
    partition: int = 0,
    headers: Sequence[tuple[str, bytes | None]] = (),
    topic: str = "notification.expanded",
) -> RawRecord:
    """A record as Kafka holds it."""
    return RawRecord(topic, partition, offset, NOW, b"key", value, headers)


class MemoryStore:
    """Transactions in memory: what a handler adds to `connection` is kept only when its block ends well."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.letters: dict[tuple[str, int, int], DeadLetter] = {}
        self.transactions = 0
        self.failure: Exception | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[list[int]]:
        """Begin, and keep the rows at the end."""
        if self.failure is not None:
            raise self.failure
        self.transactions += 1
        connection: list[int] = []
        letters = dict(self.letters)
        try:
            yield connection
        except BaseException:
            self.letters = letters
            raise
        self.rows += connection

    async def bury(self, connection: list[int], letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters, each once."""
        self.letters |= {(letter.topic, letter.partition, letter.offset): letter for letter in letters}


async def until(condition: Callable[[], bool], *, within: float = 45.0, what: str = "") -> None:
    """Return when `condition` holds. The machine may be busy, so the deadline is generous."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)
