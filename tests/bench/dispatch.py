"""What a dispatcher costs: CPU microseconds per message of this process, of Postgres and of the carrier.

    .venv/bin/python -m tests.bench.dispatch --dsn postgresql://... [--messages 200000] [--profile] [store|send ...]

`store` runs the statements alone, on one connection: claimed as staged, and staged first with windows of several sizes;
each round stages, claims and records. `send` runs all of a dispatcher's parts against the sandbox in a process of its
own, with a bus that only serializes. The schema `dispatch` of the database is dropped first.
"""

import argparse
import asyncio
import cProfile
import pstats
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from uuid import uuid4

import aiohttp
import psutil
import uvloop
from pydantic import SecretStr

from libs.bus import Outgoing, Received
from libs.contracts.commands import SendDeliveries
from libs.contracts.content import SmsContent
from libs.contracts.ids import NotificationId, chunk_id, new_notification_id
from libs.contracts.outcomes import Accepted, Outcome, Transient
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.storage import Database, migrate
from services.dispatchers.account import Account
from services.dispatchers.dispatching import BATCH, SCHEMA, Dispatching, Limits
from services.dispatchers.http import HttpCarrier, HttpTransport
from services.dispatchers.repository import ClaimRepository, Owner, RecordRepository
from services.dispatchers.results import result_of
from services.dispatchers.route import Route
from services.dispatchers.sms.http_smsc import HttpSmsc
from services.dispatchers.staging import Staging
from services.dispatchers.windows import Window

CHUNK = 500
TENANT = "bench"
KEY = "bench-carrier-key"


def chunk_of(notification: NotificationId, first: int, size: int, lane: Lane) -> SendDeliveries:
    return SendDeliveries(
        event_id=uuid4(),
        tenant=TENANT,
        key=str(notification),
        occurred_at=datetime.now(UTC),
        chunk_id=chunk_id(notification, first),
        notification_id=notification,
        lane=lane,
        channel=Channel.SMS,
        message_class=MessageClass.BULK,
        content=SmsContent(text="Your table is ready at seven, see you then"),
        first_number=first,
        client_ids=tuple(range(first, first + size)),
        addresses=tuple(f"+48{500000000 + number}" for number in range(first, first + size)),
    )


@dataclass
class Cpu:
    """CPU seconds of this process and of others by name."""

    others: dict[str, Callable[[], float]]

    def now(self) -> dict[str, float]:
        return {"client": time.process_time(), **{name: read() for name, read in self.others.items()}}


def family_seconds(pid: int) -> float:
    process = psutil.Process(pid)
    total = 0.0
    for member in (process, *process.children(recursive=True)):
        times = member.cpu_times()
        total += times.user + times.system
    return total + process.cpu_times().children_user + process.cpu_times().children_system


async def postmaster(database: Database) -> int:
    async with database.connection() as connection:
        backend = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()"))
    parent = backend.parent()
    assert parent is not None
    return parent.pid


async def wal(database: Database) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"))


def show(
    what: str, before: dict[str, float], after: dict[str, float], messages: int, wall: float, more: str = ""
) -> None:
    costs = "  ".join(f"{name} {(after[name] - before[name]) / messages * 1e6:6.2f}" for name in before)
    print(f"{what:<34} {costs}  us/message  {messages / wall:>9,.0f}/s  {more}", flush=True)


async def store(database: Database, cpu: Cpu, *, messages: int, window: int | None, exceptions: float) -> None:
    """Stage, claim and record `messages`; `window` none: claimed as they are staged."""
    claims = ClaimRepository(Channel.SMS, Owner("bench", uuid4()))
    records = RecordRepository()
    notification = new_notification_id(datetime.now(UTC))
    chunks = [chunk_of(notification, first, CHUNK, Lane.BULK) for first in range(0, messages, CHUNK)]
    by_id = {chunk.chunk_id: chunk for chunk in chunks}
    taken = Accepted("19a5c2f0b1d-1234567")
    bad = int(CHUNK * exceptions)
    outcomes: list[Outcome] = [*([Transient("busy")] * bad), *([taken] * (CHUNK - bad))]

    def finished(claim_id: object, chunk: SendDeliveries, ordinals: Sequence[int]) -> Window:
        filled = Window(claim_id, chunk, ordinals, 1e9, 1e9, route="bench")  # type: ignore[arg-type]
        filled.settle(0, [outcomes[ordinal] for ordinal in ordinals])
        return filled

    async def record(windows: Sequence[Window]) -> None:
        results = [
            result_of(each, finished_at=datetime.now(UTC), now=0, held_for=0, random=lambda: 0.9) for each in windows
        ]
        async with database.transaction() if exceptions else database.connection() as connection:
            await records.record(connection, results)

    before, began, log = cpu.now(), time.perf_counter(), await wal(database)
    staged = 0.0
    for start in range(0, len(chunks), BATCH[Lane.BULK]):
        batch = [
            Staging(chunk, 0, None, 0 if window else CHUNK, "bench")
            for chunk in chunks[start : start + BATCH[Lane.BULK]]
        ]
        began_batch = time.process_time()
        async with database.transaction() as connection:
            claimed = await claims.stage(connection, batch)
        staged += time.process_time() - began_batch
        if claimed:
            await record([finished(each.claim_id, by_id[each.chunk_id], each.ordinals) for each in claimed])  # type: ignore[index]
    while window:
        async with database.connection() as connection:
            claimed = await claims.claim_chunks(
                connection, Lane.BULK, TENANT, route="bench", room=window, chunks=-(-window // CHUNK)
            )
        if not claimed:
            break
        await record([finished(each.claim_id, by_id[each.chunk_id], each.ordinals) for each in claimed])  # type: ignore[index]
    after, wall = cpu.now(), time.perf_counter() - began
    what = f"store, window {window}" if window else f"store, claimed at once, {exceptions:.0%} exc."
    size = (await wal(database) - log) / messages
    show(
        what,
        before,
        after,
        messages,
        wall,
        f"WAL {size:.0f} B/message, staging in client {staged / messages * 1e6:.2f}",
    )


class SerializingBus:
    """What publishing costs before Kafka."""

    def __init__(self) -> None:
        self.deliveries = 0

    async def publish(self, outgoing: Sequence[Outgoing]) -> None:
        for one in outgoing:
            one.message.model_dump_json()
            self.deliveries += len(one.message.numbers)  # type: ignore[attr-defined]


async def send(
    database: Database, cpu: Cpu, url: str, *, messages: int, lane: Lane, chunk_size: int, profile: bool
) -> None:
    """All parts of a dispatcher, from the decoded record to the published result."""
    bus = SerializingBus()
    limits = Limits(windows={Lane.URGENT: 500, Lane.BULK: 1000}, total=5000)
    notification = new_notification_id(datetime.now(UTC))
    bodies = [
        chunk_of(notification, first, chunk_size, lane).model_dump_json().encode()
        for first in range(0, messages, chunk_size)
    ]
    callback = SecretStr("http://127.0.0.1:9/none")
    async with AsyncExitStack() as stack:
        transport = await stack.enter_async_context(HttpTransport(connections=24))
        carrier = HttpCarrier(HttpSmsc(Account(url, SecretStr(KEY), "Bench", callback)), transport)
        dispatching = Dispatching(
            Channel.SMS,
            database=database,
            routes=[Route(carrier.name, carrier, {Lane.URGENT: 16, Lane.BULK: 8})],
            bus=bus,
            owner=Owner("bench", uuid4()),
            limits=limits,
            now=lambda: datetime.now(UTC),
        )
        await dispatching.start(stack)
        stack.push_async_callback(dispatching.stop)
        handler = dispatching.handlers(lane)
        profiler = cProfile.Profile(time.process_time)
        if profile:
            profiler.enable()
        before, began = cpu.now(), time.perf_counter()
        size = BATCH[lane]
        for start in range(0, len(bodies), size):
            batch = [
                Received(
                    SendDeliveries.model_validate_json(body), f"send.sms.{lane}", 0, start, datetime.now(UTC), None
                )
                for body in bodies[start : start + size]
            ]
            async with database.transaction() as connection:
                effect = await handler.on_send_deliveries(batch, connection)
            assert effect.committed is not None
            effect.committed()
        while bus.deliveries < messages:
            await asyncio.sleep(0.01)
        after, wall = cpu.now(), time.perf_counter() - began
        if profile:
            profiler.disable()
            pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
    show(f"send, {lane}, chunks of {chunk_size}", before, after, messages, wall)


def start_sandbox() -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {"SANDBOX_PORT": str(port), "SANDBOX_CARRIER_KEY": KEY, "SANDBOX_REPORT_DELAY": "3600"}
    command = [sys.executable, "-m", "services.sandbox.app"]
    return subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL), f"http://127.0.0.1:{port}"


async def answers(url: str) -> None:
    async with asyncio.timeout(20), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/health/live"):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)


async def main(arguments: argparse.Namespace) -> None:
    database = await Database.connect(arguments.dsn, service="bench", max_size=6, command_timeout=30)
    async with database.connection() as connection:
        await connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    await migrate(database, schema=SCHEMA, folder=files("services.dispatchers") / "migrations")
    server = await postmaster(database)
    cpu = Cpu({"postgres": lambda: family_seconds(server)})
    if "store" in arguments.what:
        for window, exceptions in ((None, 0.0), (None, 0.02), (500, 0.0), (200, 0.0), (64, 0.0)):
            await store(database, cpu, messages=arguments.messages, window=window, exceptions=exceptions)
    if "send" in arguments.what:
        sandbox, url = start_sandbox()
        try:
            await answers(url)
            cpu.others["carrier"] = lambda: family_seconds(sandbox.pid)
            for lane, size, share in ((Lane.BULK, 500, 1), (Lane.BULK, 50, 4), (Lane.URGENT, 1, 20)):
                count = arguments.messages // share // size * size
                await send(database, cpu, url, messages=count, lane=lane, chunk_size=size, profile=arguments.profile)
        finally:
            sandbox.terminate()
            sandbox.wait()
    await database.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("what", nargs="*", default=["store", "send"])
    uvloop.run(main(parser.parse_args()))
