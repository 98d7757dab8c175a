"""The scheduler as it runs: real Kafka and Postgres, two processes' worth of it beside each other."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from pydantic import SecretStr

from libs import runtime
from libs.bus import Bus, BusSettings, Outgoing, create_topics
from libs.contracts.commands import ControlAction
from libs.contracts.topics import (
    CONTROL_NOTIFICATION,
    EXPAND_AUDIENCE,
    GATEWAY,
    INGEST,
    NOTIFICATION_ACCEPTED,
    NOTIFICATION_CONTROLLED,
    NOTIFICATION_REJECTED,
    SCHEDULER,
    SEND_NOTIFICATION,
    Topic,
)
from libs.storage import Database
from services.scheduler.app import wire
from services.scheduler.settings import SchedulerSettings
from tests.services.scheduler.making import accepted, control, notification, now

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]
COUNT = 40


@pytest.fixture
async def settings(kafka: str, topic_prefix: str) -> BusSettings:
    settings = BusSettings(bootstrap_servers=kafka, topic_prefix=topic_prefix)
    await create_topics(
        settings,
        [
            *EXPAND_AUDIENCE,
            *CONTROL_NOTIFICATION,
            *SEND_NOTIFICATION,
            NOTIFICATION_ACCEPTED,
            NOTIFICATION_REJECTED,
            NOTIFICATION_CONTROLLED,
        ],
    )
    return settings


@pytest.fixture
async def schedulers(settings: BusSettings, database: Database) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for instance in ("1", "2"):
            bus = Bus(settings, service=SCHEDULER, instance=instance)
            work = wire(bus, database, SchedulerSettings(database=SecretStr("unused"), instance=instance))
            await bus.start()
            stack.push_async_callback(bus.stop)
            runtime.background(stack, work.releasing.run, f"release-{instance}")
            runtime.background(stack, work.telling.run, f"telling-{instance}")
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


async def test_a_control_is_obeyed_and_told_to_everybody(
    settings: BusSettings, database: Database, schedulers: None
) -> None:
    ingest, gateway = Bus(settings, service=INGEST, instance="1"), Bus(settings, service=GATEWAY, instance="1")
    await ingest.start()
    await gateway.start()
    base = now() + timedelta(seconds=2)
    events = [accepted(notification(at=base)) for _ in range(COUNT)]
    await ingest.publish([Outgoing(NOTIFICATION_ACCEPTED, event) for event in events])
    cancelled = {event.notification.notification_id for event in events[::2]}
    commands = [control(one, ControlAction.CANCEL) for one in cancelled]
    lanes = [CONTROL_NOTIFICATION.urgent, CONTROL_NOTIFICATION.bulk]
    await gateway.publish([Outgoing(lanes[place % 2], command) for place, command in enumerate(commands)])
    for bus in (ingest, gateway):
        await bus.stop()

    told = await values(
        settings,
        [NOTIFICATION_CONTROLLED],
        until=lambda found: (
            {one["notification_id"] for one in found if one["waits"]} == {str(one) for one in cancelled}
        ),
    )
    assert {one["gate"] for one in told} == {"cancelled"}
    released = await values(settings, list(EXPAND_AUDIENCE), until=lambda found: len(found) >= COUNT // 2)
    assert len(released) == COUNT // 2
    assert not {one["notification"]["notification_id"] for one in released} & {str(one) for one in cancelled}


async def values(
    settings: BusSettings, topics: Sequence[Topic[Any]], *, until: Callable[[list[Any]], bool]
) -> list[Any]:
    """What stands on topics when `until` holds, and what came half a second later."""
    names = [settings.topic_name(topic) for topic in topics]
    found: list[Any] = []
    async with (
        AIOKafkaConsumer(
            *names, bootstrap_servers=settings.servers, auto_offset_reset="earliest", fetch_max_wait_ms=50
        ) as consumer,
        asyncio.timeout(60),
    ):
        while not until(found):
            found.append(json.loads((await consumer.getone()).value))
        more = await consumer.getmany(timeout_ms=500)
    return found + [json.loads(record.value) for records in more.values() for record in records]
