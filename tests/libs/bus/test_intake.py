"""The gateway's promise on real Kafka: acknowledged, or refused in time, and well again by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.bus import Bus, BusSettings, Intake, OutcomeUnknown, Outgoing, Refused, Unpublishable, create_topics
from libs.contracts.failures import Unavailable
from libs.contracts.routing import Lane
from tests.libs.bus.conftest import BULK, EVENTS, URGENT, HurtBroker
from tests.libs.bus.doubles import MemoryStore, expanded, until
from tests.libs.bus.test_bus import Listener

pytestmark = pytest.mark.kafka

# What the gateway promises in 3 s; a busy machine gets some grace on top where nothing but time is at stake.
BOUND = 2.5
GRACE = 30.0


@asynccontextmanager
async def open_intake(settings: BusSettings) -> AsyncIterator[Intake]:
    intake = Intake(settings, topics=[URGENT, BULK])
    await intake.start()
    try:
        yield intake
    finally:
        async with asyncio.timeout(GRACE):
            await intake.stop()


async def written(settings: BusSettings) -> list[int]:
    """The numbers on both topics, in no order; probes are not messages."""
    listeners = [Listener(settings, topic, instance="reader") for topic in (URGENT, BULK)]
    for listener in listeners:
        await listener.bus.start()
    ends = 0
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.servers)
    await consumer.start()
    try:
        places = [TopicPartition(settings.topic_name(topic), p) for topic in (URGENT, BULK) for p in range(3)]
        ends = sum((await consumer.end_offsets(places)).values())
    finally:
        await consumer.stop()
    await until(lambda: all(listener.bus.health()[0].lag == 0 for listener in listeners) or ends == 0)
    numbers = [number for listener in listeners for number in listener.store.rows]
    for listener in listeners:
        assert not listener.store.letters
        await listener.bus.stop()
    return numbers


async def test_what_is_accepted_is_there(settings: BusSettings) -> None:
    async with open_intake(settings) as intake:
        assert not intake.is_open
        await asyncio.gather(
            *(intake.accept(Outgoing(topic, expanded(n)), within=BOUND) for n in range(50) for topic in (URGENT, BULK))
        )
    assert sorted(await written(settings)) == sorted([*range(50)] * 2)


async def test_mistakes_of_the_caller_do_not_open_it(settings: BusSettings) -> None:
    async with open_intake(settings) as intake:
        with pytest.raises(Unpublishable):
            await intake.accept(
                Outgoing(URGENT, expanded(key="k").model_copy(update={"key": "k" * 5_000_000})), within=9
            )
        with pytest.raises(ValueError, match="not opened"):
            await intake.accept(Outgoing(EVENTS, expanded(1)), within=BOUND)
        with pytest.raises(Refused):
            await intake.accept(Outgoing(URGENT, expanded(1)), within=0)
        await intake.accept(Outgoing(URGENT, expanded(2)), within=BOUND)


async def test_more_than_the_cap_in_flight_is_refused(settings: BusSettings) -> None:
    async with open_intake(settings) as intake:
        given = [intake.accept(Outgoing(BULK, expanded(n)), within=GRACE) for n in range(300)]
        answers = await asyncio.gather(*given, return_exceptions=True)
        assert [type(answer) for answer in answers].count(Refused) == 300 - 256
        assert not intake.is_open
    assert len(await written(settings)) == 256


async def test_a_crashed_client_is_replaced(settings: BusSettings) -> None:
    async with open_intake(settings) as intake:
        task = intake._clients[Lane.URGENT]._sender.sender_task
        task.cancel()
        await asyncio.wait([task])
        with pytest.raises(OutcomeUnknown):
            await intake.accept(Outgoing(URGENT, expanded(1)), within=0.5)
        await until(lambda: not intake.is_open)
        await intake.accept(Outgoing(URGENT, expanded(2)), within=GRACE)


async def accepted(intake: Intake, number: int) -> bool:
    try:
        await intake.accept(Outgoing(URGENT, expanded(number)), within=BOUND)
    except Unavailable:
        return False
    return True


async def accepted_at_last(intake: Intake, number: int) -> None:
    async with asyncio.timeout(60):
        while not await accepted(intake, number):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("hurt", ["frozen", "killed"])
async def test_a_broker_that_fails_and_returns(broker: HurtBroker, hurt: str) -> None:
    await broker.start()
    settings = BusSettings(bootstrap_servers=broker.servers)
    await create_topics(settings, [URGENT, BULK])
    async with open_intake(settings) as intake:
        await intake.accept(Outgoing(URGENT, expanded(1)), within=GRACE)
        broker.freeze() if hurt == "frozen" else broker.kill()
        with pytest.raises(OutcomeUnknown):
            async with asyncio.timeout(GRACE):
                await intake.accept(Outgoing(URGENT, expanded(2)), within=BOUND)
        assert intake.is_open
        for number in range(100, 300):
            with pytest.raises(Refused):
                await intake.accept(Outgoing(URGENT, expanded(number)), within=BOUND)
        broker.thaw() if hurt == "frozen" else await broker.start()
        await until(lambda: not intake.is_open, within=60)
        await accepted_at_last(intake, 3)
    numbers = await written(settings)
    assert {1, 3} <= set(numbers) <= {1, 2, 3}, "nothing that was refused is in the log"


async def test_it_starts_without_kafka_and_opens_when_kafka_comes(broker: HurtBroker) -> None:
    settings = BusSettings(bootstrap_servers=broker.servers)
    async with open_intake(settings) as intake:
        with pytest.raises(Refused):
            await intake.accept(Outgoing(URGENT, expanded(1)), within=BOUND)
        await broker.start()
        await create_topics(settings, [URGENT, BULK])
        await until(lambda: not intake.is_open, within=60)
        await accepted_at_last(intake, 2)


async def test_it_stops_while_kafka_is_away(broker: HurtBroker) -> None:
    await broker.start()
    settings = BusSettings(bootstrap_servers=broker.servers)
    await create_topics(settings, [URGENT, BULK])
    async with open_intake(settings) as intake:
        broker.freeze()
        assert not await accepted(intake, 1)


async def test_a_bus_resumes_by_itself(broker: HurtBroker) -> None:
    """Frozen, then killed: consumers and producers of one life go on, and nothing is lost."""
    await broker.start()
    settings = BusSettings(bootstrap_servers=broker.servers)
    await create_topics(settings, [EVENTS, URGENT, BULK])
    listeners = [Listener(settings, topic) for topic in (EVENTS, URGENT, BULK)]
    sender = Bus(settings, service="sender", instance="1")
    for bus in (*(listener.bus for listener in listeners), sender):
        await bus.start()
    sent = 0

    async def send() -> None:
        nonlocal sent
        async with asyncio.timeout(90):
            while True:
                try:
                    await sender.publish([Outgoing(topic, expanded(sent)) for topic in (EVENTS, URGENT, BULK)])
                except Unavailable:
                    await asyncio.sleep(0.1)
                    continue
                sent += 1
                return

    def arrived() -> bool:
        return all(set(listener.store.rows) == set(range(sent)) for listener in listeners)

    try:
        await send()
        await until(arrived)
        broker.freeze()
        with pytest.raises(Unavailable):
            await sender.publish([Outgoing(URGENT, expanded(0))])
        broker.thaw()
        await send()
        await until(arrived, within=60)
        broker.kill()
        with pytest.raises(Unavailable):
            await sender.publish([Outgoing(URGENT, expanded(0))])
        await broker.start()
        await send()
        await until(arrived, within=60)
        for listener in listeners:
            await until(lambda: listener.bus.health()[0].joined, within=60)  # noqa: B023
            await listener.bus.check()
        broker.kill()
    finally:
        async with asyncio.timeout(60):
            await asyncio.gather(*(bus.stop() for bus in (*(listener.bus for listener in listeners), sender)))


async def test_a_bus_that_starts_before_kafka(broker: HurtBroker) -> None:
    settings = BusSettings(bootstrap_servers=broker.servers)
    bus = Bus(settings, service="tests", instance="1")
    store = MemoryStore()
    bus.subscribe(EVENTS, Listener(settings, EVENTS).handle, store)
    starting = asyncio.create_task(bus.start())
    try:
        await broker.start()
        await create_topics(settings, [EVENTS])
        async with asyncio.timeout(60):
            await starting
    finally:
        await bus.stop()
