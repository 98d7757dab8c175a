"""A dead letter goes back as it was."""

from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.bus import BusSettings, Resender, create_topics
from libs.bus.resending import timestamp_for
from libs.contracts.dead_letters import DeadLetter, Headers
from libs.contracts.failures import Unavailable
from libs.contracts.topics import SEND_NOTIFICATION, SEND_SMS

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOPIC = SEND_NOTIFICATION.bulk


def letter(
    *,
    key: bytes | None = b"k",
    value: bytes | None = b"v",
    headers: Headers = (),
    partition: int = 17,
    recorded_at: datetime | None = None,
) -> DeadLetter:
    return DeadLetter(TOPIC.name, partition, 5, key, value, headers, "undecodable", "no JSON", recorded_at)


@pytest.mark.kafka
async def test_bytes_key_headers_partition_and_time_are_the_records(kafka: str, topic_prefix: str) -> None:
    settings = BusSettings(bootstrap_servers=kafka, topic_prefix=topic_prefix)
    await create_topics(settings, [TOPIC])
    recorded = datetime.now(UTC).replace(microsecond=123_000) - timedelta(hours=3)
    letters = [
        letter(value=b"\xff{\x00", headers=[("x", None), ("traceparent", b"\xff"), ("x", b"")], recorded_at=recorded),
        letter(key=None),
        letter(key=None, value=None),
        letter(key=b"", value=b""),
        letter(value=b"x" * 2_000_000),
    ]
    resender = Resender(settings)
    await resender.start()
    try:
        await resender.send(letters)
        await resender.send([])
        with pytest.raises(Unavailable, match="no partition 99"):
            await resender.send([letter(partition=99)])
    finally:
        await resender.stop()
        await resender.stop()
    place = TopicPartition(settings.topic_name(TOPIC), 17)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka, auto_offset_reset="earliest", fetch_max_bytes=16_000_000, enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([place])
        records = [await consumer.getone() for _ in letters]
    finally:
        await consumer.stop()
    assert [(one.key, one.value, one.headers) for one in records] == [
        (one.key, one.value, tuple(one.headers)) for one in letters
    ]
    assert records[0].timestamp == round(recorded.timestamp() * 1000)


@pytest.mark.parametrize(
    ("recorded_at", "expected"),
    [
        pytest.param(None, None, id="not known"),
        pytest.param(NOW - timedelta(days=1), NOW - timedelta(days=1), id="as old as it is"),
        pytest.param(NOW - timedelta(days=6), NOW - timedelta(days=3.5), id="Kafka must not delete it at once"),
        pytest.param(datetime(1970, 1, 1, tzinfo=UTC), NOW - timedelta(days=3.5), id="a clock that was not set"),
    ],
)
def test_its_time(recorded_at: datetime | None, expected: datetime | None) -> None:
    told = timestamp_for(letter(recorded_at=recorded_at), NOW)
    assert told == (None if expected is None else round(expected.timestamp() * 1000))


def test_half_the_topic_s_own_retention() -> None:
    old = DeadLetter(SEND_SMS.bulk.name, 0, 0, None, b"v", (), "undecodable", "no JSON", NOW - timedelta(days=6))
    assert timestamp_for(old, NOW) == round((NOW - SEND_SMS.bulk.retention / 2).timestamp() * 1000)


async def test_kafka_away() -> None:
    resender = Resender(BusSettings(bootstrap_servers="127.0.0.1:1"))
    with pytest.raises(Unavailable, match="does not answer"):
        await resender.start()
    await resender.stop()
