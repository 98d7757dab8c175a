"""The tracker as it runs: real Kafka, real Postgres, its eight topics folded side by side."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from libs.bus import Bus, BusSettings, Outgoing, create_topics
from libs.contracts.commands import ExpandAudience
from libs.contracts.events import DeliverySettled
from libs.contracts.states import DeliveryState
from libs.contracts.topics import (
    DELIVERY_ATTEMPTED,
    DELIVERY_SETTLED,
    DELIVERY_SUPPRESSED,
    EXPAND_AUDIENCE,
    NOTIFICATION_ACCEPTED,
    NOTIFICATION_EXPANDED,
    RECEIPT_RECEIVED,
    SEND_SMS,
    TOPICS,
    TRACKER,
)
from libs.storage import Database, Store
from services.tracker.app import SCHEMA, wire
from services.tracker.callbacks import Callbacks
from services.tracker.facts import ENTRY
from services.tracker.fallback_timers import FallbackTimers
from services.tracker.outbox import Outbox
from services.tracker.sweeping import OrphanSweep
from tests.services.tracker.making import (
    accepted,
    attempted,
    counters_and_recount,
    expanded,
    new_id,
    planned,
    reported,
    suppressed,
)

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]
S = DeliveryState


@pytest.fixture
async def settings(kafka: str, topic_prefix: str) -> BusSettings:
    settings = BusSettings(bootstrap_servers=kafka, topic_prefix=topic_prefix)
    await create_topics(settings, [topic for topic in TOPICS if TRACKER in (*topic.producers, *topic.consumers)])
    return settings


@pytest.fixture
async def tracker(settings: BusSettings, database: Database) -> AsyncIterator[Bus]:
    bus = Bus(settings, service=TRACKER, instance="1")
    wire(bus, Store(database, SCHEMA))
    await bus.start()
    yield bus
    await bus.stop()


async def test_a_campaign_in_any_order_with_bad_records_between(
    settings: BusSettings, database: Database, tracker: Bus
) -> None:
    notification = new_id()
    outgoing = [
        Outgoing(NOTIFICATION_ACCEPTED, accepted(notification)),
        Outgoing(NOTIFICATION_EXPANDED, expanded(notification, 1500, 100)),
        Outgoing(DELIVERY_SUPPRESSED, suppressed(notification, 1500, ["no_address"] * 100)),
    ]
    for first in range(0, 1500, 500):
        numbers = range(first, first + 500)
        outgoing.append(Outgoing(SEND_SMS.bulk, planned(notification, first, 500), partition=first // 500))
        window = attempted(notification, [(number, S.SENT, "", f"{notification}{number}") for number in numbers])
        outgoing += [Outgoing(DELIVERY_ATTEMPTED, window)] * 2
        reports = reported([(f"{notification}{number}", S.DELIVERED, "000") for number in numbers])
        outgoing += [Outgoing(RECEIPT_RECEIVED, reports)] * 2
    random.shuffle(outgoing)
    async with AIOKafkaProducer(bootstrap_servers=settings.servers) as producer:
        for topic in (RECEIPT_RECEIVED, DELIVERY_ATTEMPTED):
            await producer.send_and_wait(settings.topic_name(topic), b'{"type": "trunc', partition=0)
        await tracker.publish(outgoing)
        await producer.send_and_wait(settings.topic_name(RECEIPT_RECEIVED), b"\xff", partition=0)
    sweep = OrphanSweep(database)
    async with asyncio.timeout(60):
        while (await counters_and_recount(database, notification))[0] != {"delivered": 1500, "suppressed": 100}:
            await sweep.run()
            await asyncio.sleep(0.1)
        # Before Kafka has handed it over, nobody knows that the last one is there.
        while await count(database, "tracker.dead_letter") < 3 or not await is_idle(tracker):
            await asyncio.sleep(0.1)
    counted, held = await counters_and_recount(database, notification)
    assert counted == held
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM tracker.orphan") == 0
        # Every event's history once, however often it was told.
        assert await connection.fetchval("SELECT count(*) FROM tracker.folded") == 6
        assert await connection.fetchval("SELECT sum(length(offsets)) FROM tracker.attempts") == 1500
        size = ENTRY.size + len("000")
        assert await connection.fetchval("SELECT sum(length(entries)) FROM tracker.receipts") == 1500 * size


async def test_what_follows_leaves_by_the_outbox(settings: BusSettings, database: Database, tracker: Bus) -> None:
    notification = new_id()
    failed = attempted(notification, [(0, S.FAILED, "blocked", ""), (1, S.SENT, "", "a")])
    await tracker.publish(
        [
            Outgoing(NOTIFICATION_ACCEPTED, accepted(notification, after=[3600], callback=True)),
            Outgoing(NOTIFICATION_EXPANDED, expanded(notification, 2)),
            Outgoing(SEND_SMS.bulk, planned(notification, 0, 2), partition=0),
            Outgoing(DELIVERY_ATTEMPTED, failed),
        ]
    )
    outbox = Outbox(database, tracker.publish, pause=timedelta(milliseconds=50))
    timers, callbacks = FallbackTimers(database, outbox.wake), Callbacks(database, outbox.wake)
    topics = [settings.topic_name(topic) for topic in (EXPAND_AUDIENCE.bulk, DELIVERY_SETTLED)]
    async with (
        AIOKafkaConsumer(*topics, bootstrap_servers=settings.servers, auto_offset_reset="earliest") as consumer,
        asyncio.timeout(60),
    ):
        found: dict[str, bytes] = {}
        while len(found) < len(topics):
            for work in (timers.run, callbacks.run, outbox.run):
                await work()
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found |= {record.topic: record.value for record in records}
    command = ExpandAudience.model_validate_json(found[topics[0]])
    assert command.recipients is not None
    assert (command.step, command.recipients.numbers) == (1, (0,))
    settled = DeliverySettled.model_validate_json(found[topics[1]])
    assert settled.states == (S.FAILED,)


async def count(database: Database, table: str) -> int:
    async with database.connection() as connection:
        rows: int = await connection.fetchval(f"SELECT count(*) FROM {table}")
        return rows


async def is_idle(bus: Bus) -> bool:
    """Whether every subscription has nothing left."""
    return all(subscription.lag == 0 for subscription in bus.health())
