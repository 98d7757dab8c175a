"""Kafka for the tests of the bus: topics of every lane on the shared broker, and a broker that may be hurt."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local import jars, java, ports
from deploy.local import kafka as local_kafka
from deploy.local.processes import Command, end, spawn
from libs.bus import BusSettings, create_topics
from libs.contracts.events import NotificationExpanded
from libs.contracts.routing import Lane
from libs.contracts.topics import Topic

EVENTS = Topic("numbers.told", NotificationExpanded, "number", ("tests",), ("tests",), 3)
URGENT = Topic("tell.numbers.urgent", NotificationExpanded, "number", ("tests",), ("tests",), 3, lane=Lane.URGENT)
BULK = Topic("tell.numbers.bulk", NotificationExpanded, "number", ("tests",), ("tests",), 3, lane=Lane.BULK)


@pytest.fixture
def events() -> Topic[NotificationExpanded]:
    return EVENTS


@pytest.fixture(params=[EVENTS, URGENT, BULK], ids=["event", "urgent", "bulk"])
def topic(request: pytest.FixtureRequest) -> Topic[NotificationExpanded]:
    """A topic of every lane in turn."""
    topic: Topic[NotificationExpanded] = request.param
    return topic


@pytest.fixture
async def settings(kafka: str, topic_prefix: str) -> BusSettings:
    """A bus on the shared broker whose topics exist."""
    settings = BusSettings(bootstrap_servers=kafka, topic_prefix=topic_prefix)
    await create_topics(settings, [EVENTS, URGENT, BULK])
    return settings


class Outside:
    """Somebody else who writes to our topics, and who reads what Kafka knows of our groups."""

    def __init__(self, settings: BusSettings, producer: AIOKafkaProducer) -> None:
        self._settings = settings
        self._producer = producer

    async def write(
        self,
        topic: Topic[NotificationExpanded],
        values: Sequence[bytes | None],
        *,
        partition: int = 0,
        headers: Sequence[tuple[str, bytes | None]] = (),
    ) -> None:
        name = self._settings.topic_name(topic)
        for value in values:
            await self._producer.send_and_wait(name, value, key=b"k", partition=partition, headers=list(headers))

    async def committed(self, topic: Topic[NotificationExpanded], *, service: str = "tests") -> dict[int, int]:
        """The committed offsets of the partitions where the group has come further than the beginning."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._settings.servers)
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(self._settings.group(service, topic.name))
        finally:
            await admin.close()
        return {
            place.partition: held.offset
            for place, held in offsets.items()
            if isinstance(place, TopicPartition) and held.offset > 0
        }


@pytest.fixture
async def outside(settings: BusSettings) -> AsyncIterator[Outside]:
    producer = AIOKafkaProducer(bootstrap_servers=settings.servers, linger_ms=0)
    await producer.start()
    yield Outside(settings, producer)
    await producer.stop()


class HurtBroker:
    """A broker of one test's own, to be frozen and killed."""

    def __init__(self, directory: Path) -> None:
        self.port = ports.any_free()
        broker = local_kafka.Broker(directory, java.find(), jars.ensure(), self.port, ports.any_free([self.port]))
        local_kafka.prepare(broker)
        self._command: Command = local_kafka.command(broker)
        self._log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._process = spawn(self._command, self._log)
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(local_kafka.answers, self.port):
                assert self._process.poll() is None, self._log.read_text()[-2000:]
                await asyncio.sleep(0.05)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        if self._process is not None:
            end(self._process, signal.SIGKILL)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[HurtBroker]:
    """Not started yet."""
    broker = HurtBroker(tmp_path / "kafka")
    yield broker
    broker.end()
