"""Ingest as it runs: real Kafka, real Postgres, the bus's own pipeline, bad records among good."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from pydantic import SecretStr

from libs.bus import Bus, BusSettings, create_topics
from libs.contracts.topics import (
    EXPAND_AUDIENCE,
    INGEST,
    NOTIFICATION_ACCEPTED,
    NOTIFICATION_REJECTED,
    SEND_NOTIFICATION,
)
from libs.storage import Database
from services.ingest.app import wire
from services.ingest.settings import IngestSettings
from tests.services.ingest.making import cloud, command, notification, plain

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]
FOLLOWING = [*EXPAND_AUDIENCE, NOTIFICATION_ACCEPTED, NOTIFICATION_REJECTED]


@pytest.fixture
async def settings(kafka: str, topic_prefix: str) -> BusSettings:
    settings = BusSettings(bootstrap_servers=kafka, topic_prefix=topic_prefix)
    await create_topics(settings, [*SEND_NOTIFICATION, *FOLLOWING])
    return settings


@pytest.fixture
async def ingest(settings: BusSettings, database: Database) -> AsyncIterator[Bus]:
    bus = Bus(settings, service=INGEST, instance="1")
    wire(bus, database, IngestSettings(database=SecretStr("unused")))
    await bus.start()
    yield bus
    await bus.stop()


async def produce(settings: BusSettings, records: list[tuple[bytes | None, list[tuple[str, Any]]]]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=settings.servers) as producer:
        for value, headers in records:
            await producer.send_and_wait(
                settings.topic_name(SEND_NOTIFICATION.bulk), value, partition=5, headers=headers, key=b"k"
            )


async def published(settings: BusSettings, count: int) -> dict[str, list[dict[str, Any]]]:
    """The first `count` messages that follow, by topic without the prefix."""
    names = [settings.topic_name(topic) for topic in FOLLOWING]
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    async with AIOKafkaConsumer(
        *names, bootstrap_servers=settings.servers, auto_offset_reset="earliest", fetch_max_wait_ms=50
    ) as consumer:
        async with asyncio.timeout(60):
            for _ in range(count):
                record = await consumer.getone()
                found[record.topic.removeprefix(settings.topic_prefix)].append(json.loads(record.value))
    return found


async def test_bad_records_among_good_ones(settings: BusSettings, database: Database, ingest: Bus) -> None:
    sent = command(notification(), tenant="demo")
    conflict = plain(id="order-1", content={"text": "something else"})
    records: list[tuple[bytes | None, list[tuple[str, Any]]]] = [
        (json.dumps(plain(id="order-1")).encode(), [("no-value", None)]),
        (b'{"id": "order-2", "tena', []),
        (json.dumps(cloud(plain(id="order-3"))).encode(), [("odd", b"\xff\xfe")]),
        (None, []),
        (b"\xff\xfe", []),
        (sent.model_dump_json().encode(), []),
        (json.dumps(conflict).encode(), []),
        (json.dumps(plain(id="order-4", at="2099-01-01T00:00:00Z", lane="urgent")).encode(), []),
        (json.dumps(plain(id="order-5", texxt="+48600100200")).encode(), []),
    ]
    await produce(settings, records)
    found = await published(settings, 4 + 3 + 5)

    assert len(found["notification.accepted"]) == 4
    assert len(found["expand.audience.bulk"]) == 2
    assert len(found["expand.audience.urgent"]) == 1  # a command goes on by its own lane
    rejected = {one["request_id"]: one for one in found["notification.rejected"]}
    assert {one["origin"].rpartition("/")[2] for one in found["notification.rejected"]} == {"1", "3", "4", "6", "8"}
    assert rejected["order-1"]["reason"] == "this id was used before for something else"
    assert rejected["order-5"]["reason"] == "Unreadable: texxt: unknown field"
    assert "+48600100200" not in json.dumps(rejected)

    async with database.connection() as connection:
        letters = await connection.fetch("SELECT record_offset, value FROM ingest.dead_letter ORDER BY record_offset")
        stored = await connection.fetchval("SELECT count(*) FROM ingest.notification")
    assert [(row["record_offset"], row["value"]) for row in letters] == [
        (offset, records[offset][0]) for offset in (1, 3, 4, 6, 8)
    ]
    assert stored == 4
    assert all(one.stopped is None for one in ingest.health())
