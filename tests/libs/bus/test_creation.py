import asyncio
import sys
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from libs.bus import BusSettings, create_topics
from libs.bus.creation import WrongPartitions, check_topics
from libs.contracts.failures import Unavailable
from libs.contracts.topics import NOTIFICATION_ACCEPTED, SEND_SMS, TOPICS, Topic

pytestmark = pytest.mark.kafka


@pytest.fixture
def bare(kafka: str, topic_prefix: str) -> BusSettings:
    """A bus without any topics."""
    return BusSettings(bootstrap_servers=kafka, topic_prefix=topic_prefix)


async def test_the_whole_table_is_created_once(bare: BusSettings) -> None:
    created = await create_topics(bare)
    assert set(created) == {bare.topic_prefix + topic.name for topic in TOPICS}
    assert await create_topics(bare) == []
    await check_topics(bare, TOPICS)


async def test_retention_is_by_time_and_never_by_size(bare: BusSettings) -> None:
    await create_topics(bare, SEND_SMS)
    name = bare.topic_name(SEND_SMS.bulk)
    admin = AIOKafkaAdminClient(bootstrap_servers=bare.servers)
    await admin.start()
    try:
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        described = await admin.describe_topics([name])
    finally:
        await admin.close()
    settings = {entry[0]: entry[1] for answer in answers for resource in answer.resources for entry in resource[4]}
    assert settings["retention.ms"] == str(3 * 24 * 3600 * 1000)
    assert settings["retention.bytes"] == "-1"
    assert settings["max.message.bytes"] == str(4 * 1024 * 1024)
    assert len(described[0]["partitions"]) == 24


async def test_missing_topics_are_named(bare: BusSettings) -> None:
    await create_topics(bare, [SEND_SMS.bulk])
    with pytest.raises(Unavailable, match=f"{bare.topic_prefix}notification.accepted"):
        await check_topics(bare, [SEND_SMS.bulk, NOTIFICATION_ACCEPTED])


async def test_another_number_of_partitions_is_told(bare: BusSettings) -> None:
    message = NOTIFICATION_ACCEPTED.message
    await create_topics(bare, [Topic("t", message, "k", (), (), 2)])
    wanted = [Topic("t", message, "k", (), (), 3)]
    with pytest.raises(WrongPartitions):
        await create_topics(bare, wanted)
    with pytest.raises(Unavailable, match="fewer partitions"):
        await check_topics(bare, wanted)


async def test_kafka_away() -> None:
    away = BusSettings(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(Unavailable):
        await create_topics(away)
    with pytest.raises(Unavailable, match="does not answer"):
        await check_topics(away, TOPICS)


async def test_the_command(bare: BusSettings) -> None:
    command = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "libs.bus.creation",
        env={"KAFKA_BOOTSTRAP_SERVERS": bare.bootstrap_servers, "KAFKA_TOPIC_PREFIX": bare.topic_prefix},
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    output, _ = await command.communicate()
    assert command.returncode == 0
    assert set(output.decode().split()) == {bare.topic_prefix + topic.name for topic in TOPICS}


async def test_the_command_gives_up_in_one_line() -> None:
    command = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "libs.bus.creation",
        "--within",
        "1",
        env={"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"},
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    _, errors = await command.communicate()
    assert command.returncode == 1
    assert b"Kafka did not create the topics within 1 s" in errors
    assert b"Traceback" not in errors
