"""What is written to the outbox leaves it once Kafka has it."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from libs.bus import Outgoing
from libs.contracts.events import NotificationCompleted
from libs.contracts.failures import Unavailable
from libs.contracts.notification import Callback
from libs.contracts.states import NotificationState
from libs.contracts.topics import NOTIFICATION_COMPLETED
from libs.storage import Database
from services.tracker import outbox
from services.tracker.outbox import Outbox
from services.tracker.repository import OutboxRepository
from tests.services.tracker.making import URL, envelope, new_id

pytestmark = pytest.mark.postgres
TRACE = f"00-{'ab' * 16}-{'cd' * 8}-01"


class Kafka:
    """Takes what it is given, unless it is away."""

    def __init__(self) -> None:
        self.taken: list[Outgoing] = []
        self.is_away = False

    async def publish(self, outgoing: Sequence[Outgoing]) -> None:
        """Raises Unavailable while it is away."""
        if self.is_away:
            raise Unavailable("no broker")
        self.taken += outgoing


def letter() -> Outgoing:
    event = NotificationCompleted(
        **envelope(),
        notification_id=new_id(),
        callback=Callback(url=URL, dialect="native"),
        state=NotificationState.DONE,
        planned=1,
        suppressed=0,
        counts={},
    )
    return Outgoing(NOTIFICATION_COMPLETED, event, traceparent=TRACE)


async def write(database: Database, letters: Sequence[Outgoing]) -> None:
    async with database.transaction() as connection:
        await OutboxRepository().add(connection, letters)


async def left(database: Database) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM tracker.outbox"))


async def test_it_leaves_in_order_and_as_it_was(database: Database) -> None:
    kafka, letters = Kafka(), [letter() for _ in range(150)]
    await write(database, letters)
    box = Outbox(database, kafka.publish, pause=timedelta(milliseconds=1))
    await box.run()
    assert (len(kafka.taken), await left(database)) == (100, 50)
    await box.run()
    assert kafka.taken == letters
    assert await left(database) == 0


async def test_what_kafka_did_not_take_goes_first_when_it_is_back(database: Database) -> None:
    kafka, letters = Kafka(), [letter(), letter()]
    await write(database, letters)
    box = Outbox(database, kafka.publish, pause=timedelta(milliseconds=1))
    kafka.is_away = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            await box.run()
    kafka.is_away = False
    await box.run()
    assert (kafka.taken, await left(database)) == (letters, 0)


async def test_another_process_takes_over_when_the_lease_ends(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka, one = Kafka(), letter()
    await write(database, [one])
    dead = Outbox(database, kafka.publish, pause=timedelta(milliseconds=1))
    other = Outbox(database, kafka.publish, pause=timedelta(milliseconds=1))
    kafka.is_away = True
    with pytest.raises(Unavailable):
        await dead.run()
    kafka.is_away = False
    await other.run()
    assert kafka.taken == []
    async with database.connection() as connection:
        await connection.execute("UPDATE tracker.outbox SET leased_until = now()")
    await other.run()
    assert kafka.taken == [one]


async def test_it_waits_until_it_is_woken(database: Database) -> None:
    kafka, one = Kafka(), letter()
    box = Outbox(database, kafka.publish, pause=timedelta(minutes=1))
    waiting = asyncio.create_task(box.run())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await write(database, [one])
    box.wake()
    async with asyncio.timeout(10):
        await waiting
        await box.run()
    assert kafka.taken == [one]
    assert outbox.AT_ONCE > 1
