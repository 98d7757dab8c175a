"""What the bus costs: `python -m tests.bench.bus` starts a Kafka of its own and prints CPU per message, loops, latency.

CPU time is the robust figure; rates on a shared machine are not. `client` is this process, `broker` is Kafka.
"""

import argparse
import asyncio
import logging
import resource
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psutil
import uvloop

from deploy.local import jars, java, kafka, ports
from deploy.local.processes import end, spawn
from libs.bus import Bus, BusSettings, Effect, Intake, Outgoing, Received, create_topics
from libs.contracts.audience import ClientIds
from libs.contracts.commands import SendDeliveries, SendNotification
from libs.contracts.content import SmsContent
from libs.contracts.envelope import Message
from libs.contracts.events import NotificationExpanded
from libs.contracts.failures import Unavailable
from libs.contracts.ids import chunk_id, new_notification_id
from libs.contracts.notification import Notification
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.contracts.topics import DELIVERY_SUPPRESSED, NOTIFICATION_EXPANDED, SEND_NOTIFICATION, SEND_SMS, Topic

NOW = datetime.now(UTC)
NOTIFICATION = new_notification_id(NOW)


class NoStore:
    """A store that keeps nothing: the bus alone is measured."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield

    async def bury(self, connection: None, letters: Sequence[object]) -> None:
        pass


def small(number: int) -> Message:
    return NotificationExpanded(
        event_id=uuid4(),
        tenant="demo",
        key=str(number),
        occurred_at=NOW,
        notification_id=NOTIFICATION,
        planned=number,
        suppressed=0,
    )


def chunk(number: int) -> Message:
    return SendDeliveries(
        event_id=uuid4(),
        tenant="demo",
        key=str(number),
        occurred_at=NOW,
        chunk_id=chunk_id(NOTIFICATION, number),
        notification_id=NOTIFICATION,
        lane=Lane.BULK,
        channel=Channel.SMS,
        message_class=MessageClass.BULK,
        content=SmsContent(text="Dear customer, your table is booked for tomorrow."),
        first_number=500 * number,
        client_ids=tuple(range(1_000_000, 1_000_500)),
        addresses=tuple(f"+4812345{one:04}" for one in range(500)),
    )


class Cost:
    """CPU seconds of this process and of the broker since it was made."""

    def __init__(self, broker: psutil.Process) -> None:
        self._broker = broker
        self._client_before, self._broker_before = self._client(), self._spent()
        self._begun = time.monotonic()

    def _client(self) -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    def _spent(self) -> float:
        times = self._broker.cpu_times()
        return float(times.user + times.system)

    def line(self, what: str, messages: int) -> str:
        client, broker = self._client() - self._client_before, self._spent() - self._broker_before
        seconds = time.monotonic() - self._begun
        return (
            f"{what:<44} client {client / messages * 1e6:8.1f} us  broker {broker / messages * 1e6:8.1f} us  "
            f"{messages / seconds:9.0f}/s"
        )

    def share(self, what: str) -> str:
        seconds = time.monotonic() - self._begun
        client, broker = self._client() - self._client_before, self._spent() - self._broker_before
        return f"{what:<44} client {client / seconds:8.1%}     broker {broker / seconds:8.1%}"


class Bench:
    def __init__(self, settings: BusSettings, broker: psutil.Process) -> None:
        self._settings = settings
        self._broker = broker

    def _bus(self, service: str = "bench") -> Bus:
        return Bus(self._settings, service=service, instance="1")

    async def throughput(self, topic: Topic[Message], messages: Sequence[Message], together: int) -> None:
        total = len(messages)
        seen = 0

        async def handle(records: Sequence[Received[Message]], connection: None) -> Effect:
            nonlocal seen
            seen += len(records)
            return Effect()

        sender = self._bus("sender")
        await sender.start()
        await sender.publish([Outgoing(topic, messages[0])])
        cost = Cost(self._broker)
        for start in range(0, total, together):
            await sender.publish([Outgoing(topic, one) for one in messages[start : start + together]])
        print(cost.line(f"publish {topic.name}, {together} at once", total))
        await sender.stop()
        size = len(messages[0].model_dump_json())
        bus = self._bus(f"reader-{uuid4().hex[:4]}")
        bus.subscribe(topic, handle, NoStore())
        cost = Cost(self._broker)
        await bus.start()
        while seen < total + 1:
            await asyncio.sleep(0.01)
        print(cost.line(f"consume and decode, {size} bytes", total))
        await bus.stop()

    async def loop(self, what: str, failure: Callable[[int], Exception], seconds: float = 8.0) -> None:
        calls = 0

        async def handle(records: Sequence[Received[Message]], connection: None) -> Effect:
            nonlocal calls
            calls += 1
            raise failure(len(records))

        bus = self._bus(f"loop-{uuid4().hex[:4]}")
        bus.subscribe(NOTIFICATION_EXPANDED, handle, NoStore())
        await bus.start()
        cost = Cost(self._broker)
        await asyncio.sleep(seconds)
        print(cost.share(f"{what}: {calls} calls in {seconds:.0f} s"), bus.health()[0].stopped or "")
        await bus.stop()

    async def trickle(self, seconds: float = 8.0) -> None:
        """One poison record after the other, 20 a second between good ones: below the limits, so it never stops."""

        async def handle(records: Sequence[Received[Message]], connection: None) -> Effect:
            if any(record.message.key.startswith("poison") for record in records):
                raise KeyError
            return Effect()

        bus = self._bus("trickle")
        bus.subscribe(SEND_SMS.urgent, handle, NoStore())
        await bus.start()
        cost, number, until = Cost(self._broker), 0, time.monotonic() + seconds
        while time.monotonic() < until:
            poison = chunk(number).model_copy(update={"key": f"poison-{number}"})
            good = [chunk(one).model_copy(update={"client_ids": (1,), "addresses": ("+1",)}) for one in range(20)]
            await bus.publish([Outgoing(SEND_SMS.urgent, one) for one in (poison, *good)])
            number += 1
            await asyncio.sleep(1.0)
        print(cost.share(f"{number} poison among {20 * number} good"), bus.health()[0].stopped or "")
        await bus.stop()

    async def idle(self, seconds: float = 8.0) -> None:
        async def handle(records: Sequence[Received[Message]], connection: None) -> Effect:
            return Effect()

        bus = self._bus("idle")
        topics = [NOTIFICATION_EXPANDED, DELIVERY_SUPPRESSED, *SEND_SMS, *SEND_NOTIFICATION]
        for topic in topics:
            bus.subscribe(topic, handle, NoStore())
        await bus.start()
        await asyncio.sleep(2)
        cost = Cost(self._broker)
        await asyncio.sleep(seconds)
        print(cost.share(f"idle, {len(topics)} subscriptions"))
        await bus.stop()

    async def hop(self, per_second: int, samples: int) -> None:
        arrived: dict[int, float] = {}

        async def handle(records: Sequence[Received[SendNotification]], connection: None) -> Effect:
            for record in records:
                arrived[int(record.message.key)] = time.perf_counter()
            return Effect()

        bus, intake = self._bus("hop"), Intake(self._settings)
        bus.subscribe(SEND_NOTIFICATION.urgent, handle, NoStore())
        await bus.start()
        await intake.start()
        sent, acknowledged = {}, {}
        for number in range(samples):
            message = _command(number)
            sent[number] = time.perf_counter()
            await intake.accept(Outgoing(SEND_NOTIFICATION.urgent, message), within=2.5)
            acknowledged[number] = time.perf_counter()
            await asyncio.sleep(max(0.0, sent[number] + 1 / per_second - time.perf_counter()))
        while len(arrived) < samples:
            await asyncio.sleep(0.01)
        for what, ends in (("acknowledged", acknowledged), ("in the handler", arrived)):
            times = sorted((ends[number] - sent[number]) * 1000 for number in range(samples // 5, samples))
            print(
                f"urgent hop, {per_second}/s, {what:<16}"
                f"       p50 {statistics.median(times):6.1f} ms   p99 {times[int(len(times) * 0.99)]:6.1f} ms"
            )
        await intake.stop()
        await bus.stop()

    async def outage(self, hurt: Callable[[], None], mend: Callable[[], None], what: str) -> None:
        """What a caller of the gateway sees, and when everybody is at work again."""
        seen: set[int] = set()

        async def handle(records: Sequence[Received[Message]], connection: None) -> Effect:
            seen.update(int(record.message.key) for record in records)
            return Effect()

        bus, intake = self._bus(f"outage-{what}"), Intake(self._settings)
        bus.subscribe(SEND_NOTIFICATION.urgent, handle, NoStore())
        await bus.start()
        await intake.start()

        async def ask(number: int) -> tuple[str, float]:
            begun = time.perf_counter()
            try:
                await intake.accept(Outgoing(SEND_NOTIFICATION.urgent, _command(number)), within=2.5)
            except Unavailable as error:
                return type(error).__name__, time.perf_counter() - begun
            return "accepted", time.perf_counter() - begun

        print(what, "before:", await ask(0))
        hurt()
        first = await asyncio.gather(*(ask(number) for number in range(10, 20)))
        print(what, "ten at once:", {name for name, _ in first}, f"after {max(seconds for _, seconds in first):.2f} s")
        refused = [await ask(number) for number in range(100, 200)]
        print(
            what, "refused:", len(refused), {name for name, _ in refused}, f"slowest {max(t for _, t in refused):.4f} s"
        )
        await asyncio.sleep(6)
        mend()
        while not await asyncio.to_thread(kafka.answers, int(self._settings.servers[0].split(":")[1])):
            await asyncio.sleep(0.05)
        begun, number = time.perf_counter(), 1000
        while (await ask(number))[0] != "accepted":
            number += 1
            await asyncio.sleep(0.02)
        accepted = time.perf_counter() - begun
        while number not in seen:
            await asyncio.sleep(0.01)
        print(f"{what} and back: accepted after {accepted:.1f} s, handled after {time.perf_counter() - begun:.1f} s")
        await intake.stop()
        await bus.stop()


def _command(number: int) -> SendNotification:
    return SendNotification(
        event_id=uuid4(),
        tenant="demo",
        key=str(number),
        occurred_at=NOW,
        dialect="native",
        notifications=(_notification(),),
    )


def _notification() -> Notification:
    return Notification(
        notification_id=NOTIFICATION,
        lane=Lane.URGENT,
        channel=Channel.SMS,
        to=ClientIds(client_ids=(1,)),
        content=SmsContent(text="Your code is 1234"),
        message_class=MessageClass.OTP,
    )


async def everything(
    settings: BusSettings, broker: psutil.Process, again: Callable[[], None], only: Sequence[str]
) -> None:
    bench = Bench(settings, broker)
    await create_topics(settings)
    chosen: dict[str, Callable[[], Awaitable[None]]] = {
        "small": lambda: bench.throughput(NOTIFICATION_EXPANDED, [small(one) for one in range(20_000)], 500),
        "chunks": lambda: bench.throughput(SEND_SMS.bulk, [chunk(one) for one in range(1_500)], 24),
        "idle": bench.idle,
        "hop": lambda: bench.hop(50, 400),
        "unavailable": lambda: bench.loop("a dependency is away", lambda _: Unavailable("away")),
        "poison": lambda: bench.loop("every record is poison", lambda _: KeyError()),
        "trickle": bench.trickle,
        "frozen": lambda: bench.outage(broker.suspend, broker.resume, "frozen"),
        "killed": lambda: bench.outage(broker.kill, again, "killed"),
    }
    for name, run in chosen.items():
        if not only or name in only:
            await run()


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m tests.bench.bus", description=__doc__)
    names = "small chunks idle hop unavailable poison trickle frozen killed"
    arguments.add_argument("only", nargs="*", help=f"{names} (default all)")
    only = arguments.parse_args().only
    logging.basicConfig(level=logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        port = ports.any_free()
        broker = kafka.Broker(Path(folder), java.find(), jars.ensure(), port, ports.any_free([port]))
        kafka.prepare(broker)
        command = kafka.command(broker)
        processes = [spawn(command, Path(folder) / "log")]

        def again() -> None:
            processes[-1].wait()
            processes.append(spawn(command, Path(folder) / "log"))

        try:
            while not kafka.answers(port):
                time.sleep(0.05)
            settings = BusSettings(bootstrap_servers=broker.bootstrap_servers)
            uvloop.run(everything(settings, psutil.Process(processes[0].pid), again, only))
        finally:
            for process in processes:
                end(process, command.stop_signal)


if __name__ == "__main__":
    main()
