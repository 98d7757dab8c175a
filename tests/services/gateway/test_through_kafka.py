"""From HTTP onto a real Kafka: what is acknowledged is there, with its trace and nothing personal in its key."""

from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.bus import BusSettings, Intake, create_topics
from libs.contracts.commands import SendNotification
from libs.contracts.routing import partition_of
from libs.contracts.topics import SEND_NOTIFICATION
from tests.services.gateway.doubles import NATIVE, Platform

pytestmark = pytest.mark.kafka


async def test_what_is_answered_is_in_kafka(kafka: str, topic_prefix: str, connect: Any) -> None:
    settings = BusSettings(bootstrap_servers=kafka, topic_prefix=topic_prefix)
    await create_topics(settings, tuple(SEND_NOTIFICATION))
    intake = Intake(settings)
    await intake.start()
    trace = uuid4().hex
    try:
        gateway = await connect(Platform(intake=intake).app())  # type: ignore[arg-type]
        body = {"channel": "sms", "to": {"addresses": ["+48501234567"]}, "content": {"text": "hi"}}
        headers = NATIVE | {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
        async with gateway.post("/notifications", json=body, headers=headers) as response:
            answer = await response.json()
            assert (response.status, answer["trace_id"]) == (202, trace)
    finally:
        await intake.stop()
    record = await only_record(
        kafka, settings.topic_name(SEND_NOTIFICATION.urgent), SEND_NOTIFICATION.urgent.partitions
    )
    command = SendNotification.model_validate_json(record.value)
    assert str(command.notifications[0].notification_id) == answer["id"]
    assert record.key.decode() == command.key
    assert b"501234567" not in record.key
    assert record.partition == partition_of("demo", command.key, SEND_NOTIFICATION.urgent.partitions)
    assert dict(record.headers)["traceparent"].split(b"-")[1].decode() == trace


async def only_record(kafka: str, topic: str, partitions: int) -> Any:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, partition) for partition in range(partitions)])
        ends = await consumer.end_offsets(consumer.assignment())
        assert sum(ends.values()) == 1
        return await consumer.getone()
    finally:
        await consumer.stop()
