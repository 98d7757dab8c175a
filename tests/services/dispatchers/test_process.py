"""The dispatcher as a process between a real Kafka, a real Postgres and the sandbox: killed, restarted, stopped."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer

from deploy.local import ports
from libs.bus import Bus, BusSettings, Outgoing, create_topics
from libs.contracts.commands import SendDeliveries
from libs.contracts.events import DeliveryAttempted, ReceiptReceived
from libs.contracts.routing import Lane, MessageClass
from libs.contracts.states import DeliveryState
from libs.contracts.topics import AUDIENCE, SEND_SMS
from tests.services.dispatchers.making import make_chunk

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


class Street:
    """Kafka, Postgres, a sandbox and a dispatcher that comes and goes."""

    def __init__(self, environ: dict[str, str], dispatcher: str, sandbox: str) -> None:
        self._environ = {"PATH": os.environ["PATH"], **environ}
        self.dispatcher = dispatcher
        self.sandbox = sandbox
        self.attempted: list[DeliveryAttempted] = []
        self.receipts: list[ReceiptReceived] = []

    async def start(self, *module: str, ready: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", *module, env=self._environ)
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"{ready}/health/ready") as response:
                        if response.status == 200:
                            return process
                except aiohttp.ClientError:
                    pass
                assert process.returncode is None
                await asyncio.sleep(0.05)

    async def start_dispatcher(self) -> asyncio.subprocess.Process:
        return await self.start("services.dispatchers.app", "sms", ready=self.dispatcher)

    async def listen(self, consumer: AIOKafkaConsumer, prefix: str) -> None:
        async for record in consumer:
            if record.topic == f"{prefix}delivery.attempted":
                self.attempted.append(DeliveryAttempted.model_validate_json(record.value))
            else:
                self.receipts.append(ReceiptReceived.model_validate_json(record.value))

    def sent(self) -> set[str]:
        return {
            given
            for event in self.attempted
            for state, given in zip(event.states, event.provider_message_ids, strict=True)
            if state is DeliveryState.SENT
        }

    def delivered(self) -> set[str]:
        return {given for event in self.receipts for given in event.provider_message_ids}

    async def inbox(self) -> list[dict[str, str]]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.sandbox}/messages", params={"limit": 5000}) as response,
        ):
            messages: list[dict[str, str]] = (await response.json())["messages"]
            return messages


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.05)


@pytest.fixture
async def street(postgres: str, kafka: str, topic_prefix: str) -> AsyncIterator[Street]:
    first = ports.any_free()
    second = ports.any_free([first])
    urls = [f"http://127.0.0.1:{port}" for port in (first, second)]
    environ = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "KAFKA_TOPIC_PREFIX": topic_prefix,
        "INTERNAL_TOKEN": "internal-token-of-the-test",
        "SANDBOX_PORT": str(second),
        "SANDBOX_CARRIER_KEY": "carrier-key-of-the-test",
        "DISPATCHER_SMS_PORT": str(first),
        "DISPATCHER_SMS_DATABASE": postgres,
        "DISPATCHER_SMS_CARRIER_URL": urls[1],
        "DISPATCHER_SMS_CARRIER_KEY": "carrier-key-of-the-test",
        "DISPATCHER_SMS_PUBLIC_URL": urls[0],
        "DISPATCHER_SMS_RECEIPT_SECRET": "receipt-secret-of-the-test",
    }
    settings = BusSettings(bootstrap_servers=kafka, topic_prefix=topic_prefix)
    await create_topics(settings)
    street = Street(environ, *urls)
    async with AsyncExitStack() as stack:
        consumer = AIOKafkaConsumer(
            f"{topic_prefix}delivery.attempted",
            f"{topic_prefix}receipt.received",
            bootstrap_servers=kafka,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        listening = asyncio.create_task(street.listen(consumer, topic_prefix))
        stack.callback(listening.cancel)
        sandbox = await street.start("services.sandbox.app", ready=street.sandbox)
        stack.push_async_callback(end, sandbox)
        yield street


async def end(process: asyncio.subprocess.Process, number: int = signal.SIGKILL) -> int:
    if process.returncode is None:
        process.send_signal(number)
    async with asyncio.timeout(30):
        return await process.wait()


def chunks(count: int, size: int, lane: Lane) -> list[SendDeliveries]:
    kind = MessageClass.OTP if lane is Lane.URGENT else MessageClass.BULK
    return [make_chunk(size, first=number * size, lane=lane, message_class=kind) for number in range(count)]


async def test_killed_and_stopped_it_loses_nothing_and_doubles_nothing(
    street: Street, kafka: str, topic_prefix: str
) -> None:
    bus = Bus(BusSettings(bootstrap_servers=kafka, topic_prefix=topic_prefix), service=AUDIENCE, instance="test")
    await bus.start()
    work = [*chunks(8, 400, Lane.BULK), *chunks(20, 1, Lane.URGENT)]
    dispatcher = await street.start_dispatcher()
    publishing = bus.publish([Outgoing(SEND_SMS[chunk.lane], chunk, partition=0) for chunk in work])
    task = asyncio.create_task(publishing)
    await until(lambda: bool(street.attempted))
    await end(dispatcher, signal.SIGKILL)
    await task
    dispatcher = await street.start_dispatcher()
    await until(lambda: len(street.sent()) == 3220)
    await until(lambda: street.delivered() >= street.sent())
    assert await end(dispatcher, signal.SIGTERM) == 0
    arrived = [message["attempt_key"] for message in await street.inbox()]
    assert len(arrived) == len(set(arrived)) == 3220
    assert len(street.sent()) == 3220
    await bus.stop()
