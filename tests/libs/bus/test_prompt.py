"""The consumer under FastStream's batch subscriber: the private names it stands on, and a life that ends by kill -9."""

import asyncio
import inspect
import signal
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.subscription_state import Assignment, Subscription
from aiokafka.errors import ConsumerStoppedError, CorruptRecordException, KafkaError
from faststream.kafka import KafkaBroker
from faststream.kafka.subscriber.usecase import BatchSubscriber

from libs.bus import BusSettings
from libs.bus.prompt import PromptConsumer
from libs.contracts.events import NotificationExpanded
from libs.contracts.topics import Topic
from tests.libs.bus.conftest import Outside
from tests.libs.bus.doubles import until
from tests.libs.bus.test_bus import Listener, running, values


def test_the_versions_whose_private_names_are_used() -> None:
    assert version("faststream").startswith("0.7."), "read prompt.py, consuming.py and bus.py against the new source"
    assert version("aiokafka").startswith("0.14."), "read prompt.py, producing.py and quiet.py against the new source"


async def test_private_names_that_are_used() -> None:
    consumer, producer = AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1"), AIOKafkaProducer()
    assert {"_subscription", "_coordinator", "_fetcher", "_client"} <= set(vars(consumer))
    assert {"_reassignment_in_progress", "_assignment"} <= set(vars(Subscription({"t"})))
    assert callable(Assignment.all_consumed_offsets)
    assert hasattr(producer._sender, "sender_task")
    assert inspect.iscoroutinefunction(producer._sender.close)
    assert inspect.iscoroutinefunction(producer.client.close)
    assert inspect.iscoroutinefunction(Fetcher.close)
    await consumer.stop()
    await producer.stop()


async def test_faststream_asks_its_configuration_for_a_consumer_and_polls_by_getmany() -> None:
    broker = KafkaBroker("127.0.0.1:1", consumer_only=True)
    subscriber = broker.subscriber("t", batch=True, group_id="g")
    await broker.connect()
    broker.config.broker_config.builder = lambda **options: options
    assert subscriber.builder(group_id="g") == {"group_id": "g"}
    assert "consumer.getmany(" in inspect.getsource(BatchSubscriber.get_msg)
    await broker.stop()


class Watched:
    def __init__(self) -> None:
        self.told: list[object] = []

    def on_idle(self, lag: int | None) -> None:
        self.told.append("idle")

    def on_polled(self, records: int) -> None:
        self.told.append(records)

    def on_trouble(self, error: Exception) -> None:
        self.told.append(type(error))

    def afterwards(self, done: Callable[[], None]) -> None:
        done()

    async def follow_up(self) -> None:
        """Nothing follows."""

    def give_up(self) -> None:
        """Nothing is left."""


@pytest.mark.parametrize("error", [KafkaError(), CorruptRecordException(), KeyError()])
async def test_a_consumer_whose_poll_failed_is_told_of_and_never_polled_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    outcomes: list[object] = [{}, {TopicPartition("t", 0): [ConsumerRecord] * 3}, error]

    async def getmany(self: object, *_: object, timeout_ms: int, max_records: int | None) -> object:
        assert timeout_ms == 1000
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", getmany)
    watched = Watched()
    consumer = PromptConsumer(watched, bootstrap_servers="127.0.0.1:1")
    assert await consumer.getmany(timeout_ms=1) == {}
    assert len(await consumer.getmany(timeout_ms=1)) == 1
    with pytest.raises(ConsumerStoppedError):  # FastStream's loop ends with it
        await consumer.getmany(timeout_ms=1)
    await consumer.stop()
    assert watched.told == ["idle", 0, "idle", 3, "idle", type(error)]


@pytest.mark.kafka
async def test_a_failed_poll_loses_nothing(
    settings: BusSettings, topic: Topic[NotificationExpanded], outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some records were drained, their positions moved, and then the poll raised: they must come again."""
    failures = [CorruptRecordException(), KeyError()]
    real = AIOKafkaConsumer.getmany

    async def getmany(self: AIOKafkaConsumer, *partitions: TopicPartition, **options: int) -> object:
        polled = await real(self, *partitions, **options)
        if polled and failures:
            raise failures.pop()
        return polled

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", getmany)
    listener = Listener(settings, topic)
    for partition in range(3):
        await outside.write(topic, values(*range(10 * partition, 10 * partition + 10)), partition=partition)
    async with running(listener):
        await until(lambda: len(listener.store.rows) >= 30)
        assert listener.bus.health()[0].restarts == 2
    assert listener.rows == list(range(30))
    assert await outside.committed(topic) == {0: 10, 1: 10, 2: 10}


CHILD = """
import asyncio, sys
from libs.bus import Bus, BusSettings, Effect
from tests.libs.bus.conftest import {topic} as topic
from tests.libs.bus.doubles import MemoryStore

async def main():
    async def handle(records, connection):
        print(*(record.message.planned for record in records), flush=True)
        if records[0].message.planned == 2:
            await asyncio.Event().wait()
        return Effect()

    bus = Bus(BusSettings(bootstrap_servers=sys.argv[1], topic_prefix=sys.argv[2]), service="tests", instance="1")
    bus.subscribe(topic, handle, MemoryStore())
    await bus.start()
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.kafka
@pytest.mark.parametrize("name", ["EVENTS", "URGENT"])
async def test_a_killed_replica_finds_its_partitions_waiting(
    settings: BusSettings, outside: Outside, name: str
) -> None:
    """Under the same instance it is the same member, and need not wait for the end of its former session."""
    from tests.libs.bus import conftest  # noqa: PLC0415

    topic: Topic[NotificationExpanded] = getattr(conftest, name)
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CHILD.format(topic=name),
        settings.bootstrap_servers,
        settings.topic_prefix,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert child.stdout is not None
    heir = Listener(settings, topic)
    try:
        async with asyncio.timeout(60):
            await outside.write(topic, values(1))
            assert await child.stdout.readline() == b"1\n"
            await outside.write(topic, values(2))
            assert await child.stdout.readline() == b"2\n"
    finally:
        child.send_signal(signal.SIGKILL)
        await child.wait()
    killed = time.monotonic()
    async with running(heir):
        await until(lambda: 2 in heir.rows)
        # The first may come again: what is done is committed a moment later.
        assert heir.rows in ([2], [1, 2])
        print("seconds from kill to redelivery:", round(time.monotonic() - killed, 2))
