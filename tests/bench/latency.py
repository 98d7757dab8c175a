"""Single SMS on an idle platform: from the request to the arrival at the carrier, beside one bare Kafka hop.

    make up && .venv/bin/python -m tests.bench.latency

Both are taken in turn in one run, so that the machine's mood is the same for both. A bare hop is one produce with
acks=all and one consumer's `getmany`, nothing else. With --collect PORT it also receives the spans of services that
were started with TELEMETRY_OTLP_ENDPOINT=http://127.0.0.1:PORT and says where the time goes.
"""

import argparse
import asyncio
import random
import statistics
import time
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import aiohttp
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.bench.accounting import measure, print_cost
from tests.bench.platform import Platform, demo_api_key, get, running
from tests.bench.spans import Collector

PAUSE_SECONDS = (0.03, 0.09)


class BareHop:
    """A topic of one partition, one producer and one consumer."""

    def __init__(self, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer, topic: str) -> None:
        self._producer, self._consumer, self._topic = producer, consumer, topic

    async def seconds(self) -> float:
        """One hop's time."""
        began = time.perf_counter()
        fetched = asyncio.create_task(self._consumer.getmany(timeout_ms=5000))
        await self._producer.send_and_wait(self._topic, b"x" * 600)
        while not await fetched:
            fetched = asyncio.create_task(self._consumer.getmany(timeout_ms=5000))
        return time.perf_counter() - began


async def bare_hop(stack: AsyncExitStack, bootstrap: str) -> BareHop:
    """A bare hop on a topic of its own, which goes when the stack unwinds."""
    topic = f"bench.hop.{uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=[bootstrap])
    await admin.start()
    stack.push_async_callback(admin.close)
    await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    stack.push_async_callback(admin.delete_topics, [topic])
    producer = AIOKafkaProducer(bootstrap_servers=[bootstrap], acks="all")
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=[bootstrap], auto_offset_reset="earliest")
    for client in (producer, consumer):
        await client.start()
        stack.push_async_callback(client.stop)
    hop = BareHop(producer, consumer, topic)
    for _ in range(20):
        await hop.seconds()
    return hop


async def send_one(session: aiohttp.ClientSession, platform: Platform, marker: str) -> tuple[float, float]:
    """Sends one SMS; gives the wall-clock second it was asked at and the seconds the answer took."""
    body = {"channel": "sms", "to": {"addresses": [f"+4850{random.randrange(10**7):07d}"]}, "content": {"text": marker}}
    asked_at = time.time()
    async with session.post(f"{platform.gateway}/notifications", json=body) as response:
        answer = await response.text()
        if response.status != 202:
            raise SystemExit(f"the gateway answered {response.status}: {answer}")
    return asked_at, time.time() - asked_at


async def arrival(session: aiohttp.ClientSession, platform: Platform, marker: str) -> float:
    """The wall-clock second at which the carrier received the message that holds `marker`."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = (await get(session, f"{platform.sandbox}/messages", contains=marker))["messages"]
        if found:
            return datetime.fromisoformat(found[0]["received_at"]).timestamp()
        await asyncio.sleep(0.05)
    raise SystemExit(f"{marker} did not arrive within 10 s")


def percentiles(name: str, seconds: list[float]) -> float:
    """Prints a row of percentiles in milliseconds and gives the median."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    row = [cuts[49], cuts[89], cuts[98], max(seconds)]
    print(f"{name:<28}" + "".join(f"{value * 1000:>10.2f}" for value in row))
    return cuts[49]


async def run(platform: Platform, samples: int, collector: Collector | None) -> None:
    async with AsyncExitStack() as stack:
        if collector is not None:
            await collector.start()
            stack.push_async_callback(collector.stop)
        headers = {"Authorization": f"Bearer {demo_api_key()}"}
        session = await stack.enter_async_context(aiohttp.ClientSession(headers=headers))
        hop = await bare_hop(stack, platform.kafka)
        run_id = uuid4().hex[:8]
        for index in range(20):
            await send_one(session, platform, f"warm {run_id} {index}")
        asked, answers, hops = [], [], []
        before = measure(platform.processes)
        for index in range(samples):
            asked_at, answered = await send_one(session, platform, f"bench {run_id} {index:05d}.")
            asked.append(asked_at)
            answers.append(answered)
            await asyncio.sleep(random.uniform(*PAUSE_SECONDS))
            hops.append(await hop.seconds())
            await asyncio.sleep(random.uniform(*PAUSE_SECONDS))
        after = measure(platform.processes)
        arrived = [await arrival(session, platform, f"bench {run_id} {index:05d}.") for index in range(samples)]
        print(f"{samples} samples{'p50':>20}{'p90':>10}{'p99':>10}{'max':>10}   ms")
        hop_p50 = percentiles("one bare Kafka hop", hops)
        percentiles("request to 202", answers)
        total_p50 = percentiles("request to the carrier", [b - a for a, b in zip(asked, arrived, strict=True)])
        print(f"request to the carrier is {total_p50 / hop_p50:.1f} bare hops at the median")
        print("\nthe hops beside it and the idle time between included:")
        print_cost(before, after, messages=samples)
        if collector is not None:
            await asyncio.sleep(6)  # the services export every five seconds
            collector.print_stages()
            collector.print_slowest(last="submit http_smsc", count=3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-dir", type=Path, default=Path(".run"), help="the platform's state (default: .run)")
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--collect", type=int, metavar="PORT", help="receive the services' spans on this port")
    options = parser.parse_args()
    collector = Collector(options.collect) if options.collect else None
    asyncio.run(run(running(options.run_dir), options.samples, collector))


if __name__ == "__main__":
    main()
