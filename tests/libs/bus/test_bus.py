"""What the bus promises, on real Kafka: at least once, nothing skipped, nothing blocked."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

import libs.bus.bus
import libs.bus.consuming
from libs.bus import Bus, BusSettings, Effect, Outgoing, Received, Unpublishable, create_topics
from libs.contracts.events import NotificationExpanded
from libs.contracts.failures import Unavailable
from libs.contracts.topics import NOTIFICATION_REJECTED, Topic
from tests.libs.bus.conftest import Outside
from tests.libs.bus.doubles import TRACEPARENT, MemoryStore, expanded, until

pytestmark = pytest.mark.kafka

Numbers = Topic[NotificationExpanded]
Records = Sequence[Received[NotificationExpanded]]


class Listener:
    """A service with one subscription; `gate` holds its handler back, `failures` are raised one per batch."""

    def __init__(
        self, settings: BusSettings, topic: Numbers | Sequence[Numbers], *, instance: str = "1", **options: Any
    ) -> None:
        self.store = MemoryStore()
        self.records: list[Received[NotificationExpanded]] = []
        self.batches: list[list[int]] = []
        self.poison: set[int] = set()
        self.failures: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.finished = 0
        self.bus = Bus(settings, service="tests", instance=instance)
        self.bus.subscribe(topic, self.handle, self.store, **options)

    async def handle(self, records: Records, connection: list[int]) -> Effect:
        numbers = [record.message.planned for record in records]
        self.batches.append(numbers)
        self.records += records
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        if self.poison & set(numbers):
            raise KeyError("poison")
        connection += numbers
        self.finished += 1
        return Effect()

    @property
    def rows(self) -> list[int]:
        return sorted(self.store.rows)

    @property
    def stopped(self) -> str | None:
        return self.bus.health()[0].stopped


@asynccontextmanager
async def running(*listeners: Listener) -> AsyncIterator[None]:
    try:
        for listener in listeners:
            await listener.bus.start()
        yield
    finally:
        await asyncio.gather(*(listener.bus.stop() for listener in listeners))


def values(*numbers: int) -> list[bytes]:
    return [expanded(number).model_dump_json().encode() for number in numbers]


async def publish(bus: Bus, topic: Numbers, numbers: Sequence[int], **options: Any) -> None:
    await bus.publish([Outgoing(topic, expanded(number), **options) for number in numbers])


async def test_what_is_published_arrives(settings: BusSettings, topic: Numbers) -> None:
    listener = Listener(settings, topic)
    async with running(listener):
        await publish(listener.bus, topic, range(500))
        await until(lambda: len(listener.store.rows) >= 500)
        await listener.bus.check()
        (health,) = listener.bus.health()
    assert listener.rows == list(range(500))
    assert {record.partition for record in listener.records} == {0, 1, 2}
    assert {record.topic for record in listener.records} == {topic.name}
    assert list(health.assigned) == [0, 1, 2]


async def test_one_subscription_reads_several_topics(settings: BusSettings, topic: Numbers, outside: Outside) -> None:
    topics = [replace(topic, name=f"{topic.name}.{lane}") for lane in ("urgent", "bulk")]
    await create_topics(settings, topics)
    listener = Listener(settings, topics)
    async with running(listener):
        for one in topics:
            await outside.write(one, [*values(*range(10)), b"{"], partition=0)
        await until(lambda: len(listener.records) == 20)
        await until(lambda: len(listener.store.letters) == 2)
        await listener.bus.check()
    assert [(one.topic, one.offset) for one in sorted(listener.records, key=lambda one: (one.topic, one.offset))] == [
        (one.name, offset) for one in sorted(topics, key=lambda one: one.name) for offset in range(10)
    ]
    assert set(listener.store.letters) == {(one.name, 0, 10) for one in topics}
    assert listener.bus.health()[0].topic == topic.name


async def test_partition_and_trace_context_are_the_callers(settings: BusSettings, topic: Numbers) -> None:
    listener = Listener(settings, topic)
    async with running(listener):
        await publish(listener.bus, topic, range(20), partition=2, traceparent=TRACEPARENT)
        await until(lambda: len(listener.records) == 20)
    assert {record.partition for record in listener.records} == {2}
    assert {record.traceparent for record in listener.records} == {TRACEPARENT}
    assert [record.offset for record in listener.records] == list(range(20))


async def test_handled_records_do_not_come_again(settings: BusSettings, topic: Numbers, outside: Outside) -> None:
    first, second = Listener(settings, topic), Listener(settings, topic)
    async with running(first):
        await outside.write(topic, values(1, 2))
        await until(lambda: first.rows == [1, 2])
    async with running(second):
        await outside.write(topic, values(3))
        await until(lambda: bool(second.rows))
    assert second.rows == [3]
    assert await outside.committed(topic) == {0: 3}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([("null", None)], id="NULL header"),
        pytest.param([("latin", b"\xe9\xff")], id="non-UTF-8 header"),
        pytest.param([("reply_to", b"elsewhere"), ("content-type", b"\xff")], id="headers FastStream would act on"),
        pytest.param([("same", b"1"), ("same", None)], id="the same header twice"),
    ],
)
async def test_odd_headers_do_no_harm(
    settings: BusSettings, events: Numbers, outside: Outside, headers: list[tuple[str, bytes | None]]
) -> None:
    listener = Listener(settings, events)
    async with running(listener):
        await outside.write(events, values(1))
        await outside.write(events, values(2), headers=headers)
        await outside.write(events, values(3))
        await until(lambda: len(listener.store.rows) >= 3)
    assert listener.rows == [1, 2, 3]
    assert await outside.committed(events) == {0: 3}


@pytest.mark.parametrize(
    ("value", "error_class"),
    [
        pytest.param(None, "undecodable", id="null"),
        pytest.param(b"", "undecodable", id="empty"),
        pytest.param(values(2)[0][:-20], "undecodable", id="truncated JSON"),
        pytest.param(values(2)[0].replace(b"notification.expanded", b"somebody.exploded"), "unsupported", id="type"),
        pytest.param(values(2)[0].replace(b'"version":1', b'"version":2'), "unsupported", id="future version"),
        pytest.param(b"\x00\xff" * 450_000, "undecodable", id="900 KB of bytes"),
    ],
)
async def test_a_bad_record_is_buried_and_its_neighbours_are_handled(
    settings: BusSettings, events: Numbers, outside: Outside, value: bytes | None, error_class: str
) -> None:
    listener = Listener(settings, events)
    async with running(listener):
        await outside.write(events, [*values(1), value, *values(3)], headers=[("origin", None)])
        await until(lambda: len(listener.store.rows) >= 2 and bool(listener.store.letters))
    assert listener.rows == [1, 3]
    (letter,) = listener.store.letters.values()
    assert (letter.topic, letter.partition, letter.offset) == (events.name, 0, 1)
    assert (letter.key, letter.value, list(letter.headers)) == (b"k", value, [("origin", None)])
    assert letter.error_class == error_class
    assert await outside.committed(events) == {0: 3}


async def test_poison_is_buried_and_its_batch_is_handled(
    settings: BusSettings, events: Numbers, outside: Outside
) -> None:
    listener = Listener(settings, events)
    listener.poison = {2, 12}
    for partition in range(2):
        await outside.write(events, values(*range(10 * partition, 10 * partition + 5)), partition=partition)
    async with running(listener):
        await until(lambda: len(listener.store.rows) + len(listener.store.letters) >= 10)
    assert listener.rows == [0, 1, 3, 4, 10, 11, 13, 14]
    assert {letter.error_class for letter in listener.store.letters.values()} == {"KeyError"}
    assert await outside.committed(events) == {0: 5, 1: 5}


async def test_too_many_dead_letters_stop_the_consumer(settings: BusSettings, topic: Numbers, outside: Outside) -> None:
    listener = Listener(settings, topic)
    await outside.write(topic, values(1, 2))
    async with running(listener):
        await until(lambda: listener.rows == [1, 2])
        await outside.write(topic, [b"{"] * 60)
        await outside.write(topic, values(3))
        await until(lambda: listener.stopped is not None)
        with pytest.raises(Unavailable, match="in a row"):
            await listener.bus.check()
    assert listener.rows == [1, 2]
    buried = len(listener.store.letters)
    assert buried <= 50
    assert await outside.committed(topic) == {0: 2 + buried}


async def test_what_is_unavailable_comes_again_on_every_partition(
    settings: BusSettings, topic: Numbers, outside: Outside
) -> None:
    listener = Listener(settings, topic)
    listener.failures = [Unavailable("Postgres is away") for _ in range(3)]
    for partition in range(3):
        await outside.write(topic, values(*range(10 * partition, 10 * partition + 5)), partition=partition)
    async with running(listener):
        await until(lambda: len(listener.store.rows) >= 15)
    assert listener.rows == [*range(5), *range(10, 15), *range(20, 25)]
    assert await outside.committed(topic) == {0: 5, 1: 5, 2: 5}


async def test_a_publish_that_fails_brings_the_batch_again(
    settings: BusSettings, events: Numbers, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Listener(settings, events)
    failures = [Unavailable("not acknowledged")]
    real = listener.bus._producers.publish

    async def flaky(outgoing: Sequence[Outgoing]) -> None:
        if failures:
            raise failures.pop()
        await real(outgoing)

    monkeypatch.setattr(listener.bus._producers, "publish", flaky)
    told = Listener(settings, events, instance="2")  # only to look at what went out

    async def handle(records: Records, connection: list[int]) -> Effect:
        connection += [record.message.planned for record in records]
        first = [record for record in records if record.message.planned == 1]
        return Effect([Outgoing(events, expanded(100, key="x"), partition=1) for _ in first])

    listener.bus._workers.clear()
    listener.bus.subscribe(events, handle, listener.store)
    async with running(listener):
        await outside.write(events, values(1))
        await until(lambda: 100 in listener.store.rows)
    assert listener.store.rows == [1, 1, 100]
    assert told.records == []


async def test_a_slow_batch_is_finished_before_the_bus_stops(
    settings: BusSettings, topic: Numbers, outside: Outside
) -> None:
    listener = Listener(settings, topic)
    await outside.write(topic, values(1, 2, 3))
    listener.gate.clear()
    async with running(listener):
        await until(lambda: bool(listener.batches))
        stopping = asyncio.create_task(listener.bus.stop())
        await asyncio.sleep(0)
        assert not stopping.done()
        listener.gate.set()
        await stopping
    assert listener.rows == sorted(listener.batches[0])
    assert await outside.committed(topic) == {0: len(listener.batches[0])}


async def test_a_batch_that_does_not_end_is_not_committed(
    settings: BusSettings, topic: Numbers, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libs.bus.bus, "GRACEFUL_SECONDS", 0.5)
    stuck, next_life = Listener(settings, topic), Listener(settings, topic)
    await outside.write(topic, values(1, 2, 3))
    stuck.gate.clear()
    async with running(stuck):
        await until(lambda: bool(stuck.batches))
    assert stuck.rows == []
    assert await outside.committed(topic) == {}
    async with running(next_life):
        await until(lambda: next_life.rows == [1, 2, 3])


async def test_a_rebalance_waits_for_the_batch_in_flight(
    settings: BusSettings, topic: Numbers, outside: Outside
) -> None:
    one, two = Listener(settings, topic, instance="1"), Listener(settings, topic, instance="2")
    for partition in range(3):
        await outside.write(topic, values(*range(10 * partition, 10 * partition + 10)), partition=partition)
    one.gate.clear()
    async with running(one):
        await until(lambda: bool(one.batches))
        joining = asyncio.create_task(two.bus.start())
        await until(lambda: not one.bus.health()[0].joined)
        assert two.batches == []
        one.gate.set()
        await joining
        try:
            await until(lambda: len(one.rows) + len(two.rows) >= 30)
            await until(lambda: sorted([*one.bus.health()[0].assigned, *two.bus.health()[0].assigned]) == [0, 1, 2])
        finally:
            await two.bus.stop()
    assert sorted(one.rows + two.rows) == [*range(30)], "each once: the batch in flight was committed"
    assert await outside.committed(topic) == {0: 10, 1: 10, 2: 10}


async def test_a_rebalance_does_not_wait_out_a_back_off(
    settings: BusSettings, topic: Numbers, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libs.bus.consuming, "delay", lambda attempt: 3600.0)
    one, two = Listener(settings, topic, instance="1"), Listener(settings, topic, instance="2")
    one.failures = [Unavailable("away")]
    for partition in range(3):
        await outside.write(topic, values(*range(10 * partition, 10 * partition + 10)), partition=partition)
    async with running(one):
        await until(lambda: bool(one.batches) and not one.failures)
        async with running(two):
            await until(lambda: len(one.rows) + len(two.rows) >= 30)
    assert sorted(one.rows + two.rows) == [*range(30)]


async def test_start_waits_for_missing_topics_and_names_them(
    kafka: str, topic_prefix: str, events: Numbers, caplog: pytest.LogCaptureFixture
) -> None:
    settings = BusSettings(bootstrap_servers=kafka, topic_prefix=topic_prefix)
    listener = Listener(settings, events)
    starting = asyncio.create_task(listener.bus.start())
    try:
        await until(lambda: f"{topic_prefix}{events.name}" in str([vars(line) for line in caplog.records]))
        assert not starting.done()
        await create_topics(settings, [events])
        await starting
        await publish(listener.bus, events, [1])
        await until(lambda: listener.rows == [1])
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await listener.bus.stop()


async def test_large_messages(settings: BusSettings, events: Numbers) -> None:
    message = expanded(1).model_copy(update={"key": "k" * (3 * 1024 * 1024)})
    too_large = expanded(1).model_copy(update={"key": "k" * (3 * 1024 * 1024)})
    bus = Bus(settings, service="tests", instance="1")
    await bus.start()
    try:
        with pytest.raises(Unpublishable):
            # The key stands in the record's key and in its value.
            await bus.publish([Outgoing(events, too_large)])
        half = message.model_copy(update={"key": "k" * (3 * 512 * 1024)})
        await bus.publish([Outgoing(events, half), Outgoing(events, expanded(2))])
    finally:
        await bus.stop()


async def test_a_crashed_producer_is_replaced(settings: BusSettings, topic: Numbers) -> None:
    bus = Bus(settings, service="tests", instance="1")
    await bus.start()
    try:
        await publish(bus, topic, [1])
        task = bus._producers._clients[topic.lane]._sender.sender_task
        task.cancel()
        await asyncio.wait([task])
        await publish(bus, topic, [2])
    finally:
        await bus.stop()


async def test_mistakes_of_the_caller_are_told(settings: BusSettings, events: Numbers) -> None:
    bus = Bus(settings, service="tests", instance="1")
    with pytest.raises(ValueError, match="no partition 3"):
        await bus.publish([Outgoing(events, expanded(1), partition=3)])
    with pytest.raises(ValueError, match="does not belong"):
        await bus.publish([Outgoing(NOTIFICATION_REJECTED, expanded(1))])


async def test_nothing_is_published_where_a_record_asks_for_it(
    settings: BusSettings, topic: Numbers, events: Numbers, outside: Outside
) -> None:
    """FastStream answers to a header `reply_to` unless it is told not to."""
    listener = Listener(settings, topic)
    target = settings.topic_name(events)
    async with running(listener):
        await outside.write(topic, values(1), headers=[("reply_to", target.encode()), ("correlation_id", b"1")])
        await until(lambda: listener.rows == [1])
    consumer = AIOKafkaConsumer(target, bootstrap_servers=settings.servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
    finally:
        await consumer.stop()
    assert set(ends.values()) <= ({0} if topic != events else {0, 1})
