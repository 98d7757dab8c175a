"""The gateway's subscriptions as they run: what became of a notification goes to its caller, real Kafka and Postgres
between."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.bus import Bus, BusSettings, Outgoing, create_topics
from libs.contracts.commands import SendNotification
from libs.contracts.topics import DELIVERY_SETTLED, GATEWAY, NOTIFICATION_COMPLETED, SEND_NOTIFICATION, TOPICS, TRACKER
from libs.storage import Database, Store, migrate
from services.gateway.app import wire
from services.gateway.callbacks import calls
from services.gateway.schema import MIGRATIONS, SCHEMA
from tests.services.gateway.dialects.test_native_telling import completed, settled

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


@pytest.fixture
async def settings(kafka: str, topic_prefix: str) -> BusSettings:
    settings = BusSettings(bootstrap_servers=kafka, topic_prefix=topic_prefix)
    mine = [topic for topic in TOPICS if {GATEWAY, TRACKER} & {*topic.producers} or GATEWAY in topic.consumers]
    await create_topics(settings, mine)
    return settings


@pytest.fixture
async def callbacks(settings: BusSettings, postgres: str) -> AsyncIterator[None]:
    database = await Database.connect(postgres, service=GATEWAY, max_size=2)
    await migrate(database, schema=SCHEMA, folder=MIGRATIONS)
    bus = Bus(settings, service=GATEWAY, instance="1")
    wire(bus, Store(database, SCHEMA))
    await bus.start()
    yield
    await bus.stop()
    await database.close()


async def test_news_comes_out_as_notifications_the_same_again_when_it_comes_twice(
    settings: BusSettings, callbacks: None
) -> None:
    first, last = settled(501), completed()
    teller = Bus(settings, service=TRACKER, instance="test")
    await teller.start()
    try:
        await teller.publish([Outgoing(DELIVERY_SETTLED, first)] * 2 + [Outgoing(NOTIFICATION_COMPLETED, last)])
    finally:
        await teller.stop()
    expected = {one.event_id: one for one in (*calls(first), *calls(last))}
    found = await commands(settings, 5)
    assert {one.event_id: one for one in found} == expected
    assert len(expected) == 3


async def test_a_bus_that_never_started_stops(settings: BusSettings) -> None:
    bus = Bus(settings, service=GATEWAY, instance="1")
    wire(bus, Store(None, SCHEMA))  # type: ignore[arg-type]
    await bus.stop()


async def commands(settings: BusSettings, count: int) -> Sequence[SendNotification]:
    topic = SEND_NOTIFICATION.bulk
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=settings.servers, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    found: list[SendNotification] = []
    try:
        partitions = [TopicPartition(settings.topic_name(topic), number) for number in range(topic.partitions)]
        consumer.assign(partitions)
        async with asyncio.timeout(30):
            while len(found) < count:
                found.append(SendNotification.model_validate_json((await consumer.getone()).value))
    finally:
        await consumer.stop()
    return found
