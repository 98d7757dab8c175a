"""The scheduler as it runs: real Kafka and Postgres, two processes' worth of it beside each other."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from aiokafka import AIOKafkaConsumer
from pydantic import SecretStr

from libs import runtime
from libs.bus import Bus, BusSettings, Outgoing, create_topics
from libs.contracts.topics import EXPAND_AUDIENCE, INGEST, NOTIFICATION_ACCEPTED, NOTIFICATION_REJECTED, SCHEDULER
from libs.storage import Database
from services.scheduler.app import wire
from services.scheduler.settings import SchedulerSettings
from tests.services.scheduler.making import accepted, notification, now

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]
COUNT = 40


@pytest.fixture
async def settings(kafka: str, topic_prefix: str) -> BusSettings:
    settings = BusSettings(bootstrap_servers=kafka, topic_prefix=topic_prefix)
    await create_topics(settings, [*EXPAND_AUDIENCE, NOTIFICATION_ACCEPTED, NOTIFICATION_REJECTED])
    return settings


@pytest.fixture
async def schedulers(settings: BusSettings, database: Database) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for instance in ("1", "2"):
            bus = Bus(settings, service=SCHEDULER, instance=instance)
            releaser = wire(bus, database, SchedulerSettings(database=SecretStr("unused")))
            await bus.start()
            stack.push_async_callback(bus.stop)
            runtime.background(stack, releaser.run, f"release-{instance}")
        yield


async def test_what_waits_is_released_once_and_not_early(
    settings: BusSettings, database: Database, schedulers: None
) -> None:
    producer = Bus(settings, service=INGEST, instance="1")
    await producer.start()
    base = now() + timedelta(seconds=1.5)
    events = [accepted(notification(at=base + timedelta(milliseconds=20 * number))) for number in range(COUNT)]
    ahead = accepted(notification(at=now() + timedelta(days=1)))
    await producer.publish([Outgoing(NOTIFICATION_ACCEPTED, event) for event in (*events, ahead, *events)])
    await producer.stop()

    names = [settings.topic_name(topic) for topic in EXPAND_AUDIENCE]
    async with AIOKafkaConsumer(
        *names, bootstrap_servers=settings.servers, auto_offset_reset="earliest", fetch_max_wait_ms=50
    ) as consumer:
        async with asyncio.timeout(60):
            found = [json.loads((await consumer.getone()).value) for _ in range(COUNT)]
        more = await consumer.getmany(timeout_ms=500)
    assert more == {}
    assert {one["notification"]["notification_id"] for one in found} == {
        str(event.notification.notification_id) for event in events
    }
    assert all(one["occurred_at"] >= one["notification"]["at"] for one in found)
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT state, count(*) FROM scheduler.waiting GROUP BY state")
    assert {row["state"]: row["count"] for row in rows} == {"fired": COUNT, "waiting": 1}
