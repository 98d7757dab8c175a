"""The audience as it is wired, on real Kafka and Postgres."""

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from uuid import UUID

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer
from pydantic import SecretStr

from deploy.local import ports
from libs.bus import Bus, BusSettings, Outgoing, create_topics
from libs.contracts.commands import ExpandAudience, SendDeliveries
from libs.contracts.envelope import Message
from libs.contracts.events import DeliverySuppressed, NotificationControlled, NotificationExpanded
from libs.contracts.failures import Unavailable
from libs.contracts.routing import Lane, partition_of
from libs.contracts.states import Gate
from libs.contracts.topics import (
    AUDIENCE,
    DELIVERY_SUPPRESSED,
    EXPAND_AUDIENCE,
    NOTIFICATION_CONTROLLED,
    NOTIFICATION_EXPANDED,
    SEND_SMS,
    TOPICS,
)
from libs.storage import Database, Store
from services.audience.app import SCHEMA, wire
from services.audience.listing import PAGE
from services.audience.settings import AudienceSettings

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

Ask = Callable[..., ExpandAudience]
Save = Callable[..., Awaitable[None]]
NAMES = [topic for topic in TOPICS if AUDIENCE in (*topic.producers, *topic.consumers)]


class NoContent:
    """Where nothing is stored."""

    async def get(self, tenant: str, sha256: str) -> bytes:
        raise LookupError(sha256)


class ForgetfulBus(Bus):
    """Fails to publish as often as told, after everything was committed."""

    failures = 0

    async def publish(self, outgoing: Sequence[Outgoing]) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("Kafka went away between the commit and the publish")
        await super().publish(outgoing)


class Platform:
    """The audience between somebody who asks and somebody who listens."""

    def __init__(self, settings: BusSettings, audience: ForgetfulBus, asking: Bus, listening: AIOKafkaConsumer) -> None:
        self._settings = settings
        self.audience = audience
        self._asking = asking
        self._listening = listening
        # By event id: what comes twice is the same.
        self._heard: dict[UUID, tuple[str, int, Message]] = {}

    async def ask(self, *commands: ExpandAudience) -> None:
        await self._say([Outgoing(EXPAND_AUDIENCE[one.notification.lane], one) for one in commands])

    async def control(self, *events: NotificationControlled) -> None:
        await self._say([Outgoing(NOTIFICATION_CONTROLLED, one) for one in events])

    async def _say(self, outgoing: Sequence[Outgoing]) -> None:
        async with asyncio.timeout(20):
            while True:
                try:
                    return await self._asking.publish(outgoing)
                except Unavailable:  # a new topic's leader may not know yet that it is one
                    await asyncio.sleep(0.1)

    async def until_expanded(self, count: int) -> None:
        """Listen until `count` notifications told their totals and everything before is in."""
        async with asyncio.timeout(60):
            while not self._is_complete(count):
                for place, records in (await self._listening.getmany(timeout_ms=200)).items():
                    topic = next(one for one in NAMES if self._settings.topic_name(one) == place.topic)
                    for record in records:
                        message = topic.message.model_validate_json(record.value)
                        self._heard[message.event_id] = (topic.name, place.partition, message)

    @property
    def heard(self) -> list[tuple[str, int, Message]]:
        return list(self._heard.values())

    def _is_complete(self, count: int) -> bool:
        totals = self.of(NotificationExpanded)
        named = sum(
            len(message.client_ids) for kind in (SendDeliveries, DeliverySuppressed) for message in self.of(kind)
        )
        return len(totals) >= count and named >= sum(one.planned + one.suppressed for one in totals)

    def of(self, kind: type) -> list:
        return [message for _, _, message in self.heard if isinstance(message, kind)]


@pytest.fixture
async def platform(kafka: str, topic_prefix: str, database: Database) -> AsyncIterator[Platform]:
    settings = BusSettings(bootstrap_servers=kafka, topic_prefix=topic_prefix)
    await create_topics(settings, NAMES)
    async with AsyncExitStack() as stack:
        listening = AIOKafkaConsumer(
            *(settings.topic_name(topic) for topic in (*SEND_SMS, DELIVERY_SUPPRESSED, NOTIFICATION_EXPANDED)),
            bootstrap_servers=settings.servers,
            auto_offset_reset="earliest",
        )
        await listening.start()
        stack.push_async_callback(listening.stop)
        audience = ForgetfulBus(settings, service=AUDIENCE, instance="1")
        asking = Bus(settings, service=AUDIENCE, instance="asking")
        wire(audience, Store(database, SCHEMA), NoContent(), AudienceSettings(database=SecretStr("unused")))
        for bus in (audience, asking):
            await bus.start()
            stack.push_async_callback(bus.stop)
        yield Platform(settings, audience, asking, listening)


async def test_pages_follow_each_other_over_kafka(platform: Platform, ask: Ask, save: Save) -> None:
    count = PAGE + 500
    await save({n: None if n % 100 == 0 else f"+48{600_000_000 + n}" for n in range(count)})
    await platform.ask(ask(range(count)), ask([7], lane=Lane.URGENT))
    await platform.until_expanded(2)

    bulk = [message for message in platform.of(SendDeliveries) if message.lane is Lane.BULK]
    left = platform.of(DeliverySuppressed)
    assert Counter(n for message in [*bulk, *left] for n in message.client_ids) == Counter(range(count))
    assert [(one.planned, one.suppressed) for one in platform.of(NotificationExpanded) if one.planned > 1] == [
        (count - count // 100, count // 100)
    ]
    for topic, partition, message in platform.heard:
        if isinstance(message, SendDeliveries):
            partitions = SEND_SMS[message.lane].partitions
            assert topic == SEND_SMS[message.lane].name
            assert {partition_of("demo", address, partitions) for address in message.addresses} == {partition}
    (single,) = [message for message in platform.of(SendDeliveries) if message.lane is Lane.URGENT]
    assert single.client_ids == (7,)


async def test_what_was_committed_is_published_after_a_failed_publish(
    platform: Platform, ask: Ask, save: Save, database: Database
) -> None:
    await save({7: "+48600000007"})
    platform.audience.failures = 2
    await platform.ask(ask([7]))
    await _until_planned(database, 1)
    await save({7: "+48600000008"})
    await platform.until_expanded(1)
    assert [message.addresses for message in platform.of(SendDeliveries)] == [("+48600000007",)]


async def _until_planned(database: Database, count: int) -> None:
    await _until(database, "SELECT count(*) FROM audience.page", count)


async def _until(database: Database, query: str, count: int) -> None:
    async with asyncio.timeout(20):
        while True:
            async with database.connection() as connection:
                if await connection.fetchval(query) == count:
                    return
            await asyncio.sleep(0.01)


async def test_what_was_paused_goes_on_after_a_failed_publish(
    platform: Platform,
    ask: Ask,
    decide: Callable[..., NotificationControlled],
    save: Save,
    database: Database,
) -> None:
    await save({7: "+48600000007"})
    command = ask([7])
    await platform.control(decide(command, Gate.PAUSED))
    await _until(database, "SELECT count(*) FROM audience.gate", 1)
    await platform.ask(command)
    await _until(database, "SELECT count(*) FROM audience.parked", 1)
    platform.audience.failures = 2
    await platform.control(decide(command, Gate.OPEN, 2))
    await platform.until_expanded(1)
    assert [message.addresses for message in platform.of(SendDeliveries)] == [("+48600000007",)]
    assert platform.audience.failures == 0


async def test_a_command_that_makes_no_sense_stops_nobody(
    platform: Platform, ask: Ask, save: Save, database: Database
) -> None:
    await save({7: "+48600000007"})
    good, bad = ask([7]), ask([7]).model_copy(update={"page": 1, "cursor": "12"})
    await platform.ask(bad, good)
    await platform.until_expanded(1)
    assert [message.notification_id for message in platform.of(SendDeliveries)] == [good.notification.notification_id]
    async with asyncio.timeout(20):
        reasons: list[str] = []
        while not reasons:
            async with database.connection() as connection:
                rows = await connection.fetch("SELECT error_class, topic FROM audience.dead_letter")
            reasons = [row["error_class"] for row in rows]
            await asyncio.sleep(0.01)
    assert reasons == ["ValueError"]


def test_the_wiring_is_what_the_topic_table_says() -> None:
    class Recorder:
        def __init__(self) -> None:
            self.topics: list[str] = []

        def subscribe(self, topic: object, *rest: object, **options: object) -> None:
            self.topics.append(topic.name)  # type: ignore[attr-defined]

    for lanes in ((Lane.URGENT, Lane.BULK), (Lane.BULK,)):
        recorder = Recorder()
        settings = AudienceSettings(database=SecretStr("unused"), lanes=lanes)
        wire(recorder, None, NoContent(), settings)  # type: ignore[arg-type]
        expected = [topic.name for topic in TOPICS if AUDIENCE in topic.consumers and topic.lane in (*lanes, None)]
        assert recorder.topics == expected


async def test_the_process_becomes_ready_and_ends_when_told(kafka: str, topic_prefix: str, postgres: str) -> None:
    bus = BusSettings(bootstrap_servers=kafka, topic_prefix=topic_prefix)
    await create_topics(bus, NAMES)
    port = ports.any_free()
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "KAFKA_TOPIC_PREFIX": topic_prefix,
        "INTERNAL_TOKEN": "tests-only",
        "AUDIENCE_DATABASE": postgres,
        "AUDIENCE_PORT": str(port),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.audience.app", env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await _until_ready(f"http://127.0.0.1:{port}/health/ready", process)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _until_ready(url: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while process.returncode is None:
            try:
                async with session.get(url) as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.1)
    raise AssertionError(f"ended with {process.returncode}")
