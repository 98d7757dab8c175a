"""The servers that the tests run against are real ones."""

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic


@pytest.mark.postgres
async def test_postgres_knows_cyrillic(postgres: str) -> None:
    connection = await asyncpg.connect(postgres)
    try:
        assert await connection.fetchval("SELECT lower('ПРИВЕТ')") == "привет"
        assert await connection.fetchval("SELECT 'Привет' ILIKE 'пРИ%'")
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    finally:
        await connection.close()


@pytest.mark.kafka
async def test_kafka_acknowledges(kafka: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}probe"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all")
    await producer.start()
    try:
        assert (await producer.send_and_wait(topic, b"one")).offset == 0
    finally:
        await producer.stop()
