"""What is due in the same second: `python -m tests.bench.schedule` starts a Kafka and a Postgres of its own and two
schedulers, kills one of them with SIGKILL while they release, and counts.

It prints how many were released, how many twice or never, how late, and what it cost. How late is said by Kafka's
clock at its log. A record that a scheduler published and could not note before it was killed comes a second time: the
same event id and the same bytes, which audience's plan absorbs; those are counted apart. `--restart 2` starts the
killed one again after so many seconds, as the supervisor does; without it the other takes over when the lease ends.
"""

import argparse
import asyncio
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.local import jars, java, kafka, ports, postgres, postgres_programs
from deploy.local.processes import Command, end, spawn
from libs.bus import Bus, BusSettings, Outgoing, create_topics
from libs.contracts.audience import ClientIds
from libs.contracts.content import SmsContent
from libs.contracts.events import NotificationAccepted
from libs.contracts.ids import event_id, new_notification_id
from libs.contracts.notification import Notification
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.contracts.topics import (
    CONTROL_NOTIFICATION,
    EXPAND_AUDIENCE,
    INGEST,
    NOTIFICATION_ACCEPTED,
    NOTIFICATION_CONTROLLED,
    NOTIFICATION_REJECTED,
)
from tests.bench.accounting import Usage, print_cost, usage

TENANT = "demo"
CHECKOUT = Path(__file__).parents[2]
PUBLISHED_AT_ONCE = 2_000
SOME_LEFT = """
SELECT EXISTS (SELECT FROM scheduler.waiting WHERE state = 'waiting')
    OR EXISTS (SELECT FROM scheduler.claim)
"""


@dataclass
class Found:
    """What stands in Kafka: how late each notification came first, and what came again."""

    late: dict[UUID, float] = field(default_factory=dict)
    bytes_of: dict[UUID, bytes] = field(default_factory=dict)
    again: int = 0
    different: int = 0

    def add(self, value: bytes, late: float) -> None:
        body = json.loads(value)
        identity, digest = UUID(body["notification"]["notification_id"]), hashlib.sha256(value).digest()
        if identity in self.late:
            self.again += 1
            self.different += digest != self.bytes_of[identity]
            late = min(late, self.late[identity])
        self.late[identity], self.bytes_of[identity] = late, digest


class Schedulers:
    """The processes, by their instance."""

    def __init__(self, settings: BusSettings, dsn: str, folder: Path, batch: int | None) -> None:
        self._settings = settings
        self._dsn = dsn
        self._folder = folder
        self._batch = batch
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports: dict[str, int] = {}

    def start(self, instance: str) -> None:
        port = ports.any_free(list(self.ports.values()))
        environ = {
            "PATH": os.environ.get("PATH", os.defpath),
            "KAFKA_BOOTSTRAP_SERVERS": self._settings.bootstrap_servers,
            "INTERNAL_TOKEN": "bench",
            "SCHEDULER_DATABASE": self._dsn,
            "SCHEDULER_INSTANCE": instance,
            "SCHEDULER_PORT": str(port),
            **({"SCHEDULER_RELEASE_BATCH": str(self._batch)} if self._batch else {}),
        }
        command = Command([sys.executable, "-m", "services.scheduler.app"], environ=environ, directory=CHECKOUT)
        self.processes[instance] = spawn(command, self._folder / f"scheduler-{instance}.log")
        self.ports[instance] = port

    def kill(self, instance: str) -> None:
        self.processes[instance].kill()
        self.processes[instance].wait()

    def stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                end(process, Command([]).stop_signal)


@contextmanager
def servers(folder: Path) -> Iterator[tuple[str, postgres.Server, dict[str, int]]]:
    """A Kafka and a Postgres that writes to the disk, as the platform's does."""
    with ExitStack() as stack:
        port = ports.any_free()
        broker = kafka.Broker(folder, java.find(), jars.ensure(), port, ports.any_free([port]))
        kafka.prepare(broker)
        server = postgres.Server(
            folder / "postgres" / "data", postgres_programs.find(), ports.any_free([port]), "bench"
        )
        server.data.parent.mkdir()
        postgres.prepare(server)
        running = {}
        for name, command in (("kafka", kafka.command(broker)), ("postgres", postgres.command(server))):
            process = spawn(command, folder / f"{name}.log")
            stack.callback(end, process, command.stop_signal)
            running[name] = process.pid
        deadline = time.monotonic() + 60
        while not kafka.answers(port) and time.monotonic() < deadline:
            time.sleep(0.1)
        yield f"127.0.0.1:{port}", server, running


async def connected(dsn: str) -> "asyncpg.Connection[asyncpg.Record]":
    while True:
        try:
            return await asyncpg.connect(dsn)
        except (OSError, asyncpg.PostgresError):
            await asyncio.sleep(0.1)


async def stamp_by_broker(settings: BusSettings) -> None:
    """Have Kafka's own clock say when a release is in its log."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.servers)
    await admin.start()
    names = [settings.topic_name(topic) for topic in EXPAND_AUDIENCE]
    stamped = {"message.timestamp.type": "LogAppendTime"}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=stamped) for name in names])
    await admin.close()


def waiting_events(count: int, at: datetime, urgent_share: float) -> Sequence[NotificationAccepted]:
    made = datetime.now(UTC)
    events = []
    for number in range(count):
        notification = Notification(
            notification_id=new_notification_id(made),
            lane=Lane.URGENT if number < count * urgent_share else Lane.BULK,
            channel=Channel.SMS,
            to=ClientIds(client_ids=(number,)),
            content=SmsContent(text="Your table is booked for tomorrow at seven."),
            message_class=MessageClass.TRANSACTIONAL,
            at=at,
        )
        events.append(
            NotificationAccepted(
                event_id=event_id(notification.notification_id, NotificationAccepted.TYPE, 0),
                tenant=TENANT,
                key=str(notification.notification_id),
                occurred_at=made,
                notification=notification,
                dialect="native",
                waits=True,
            )
        )
    return events


async def load(settings: BusSettings, events: Sequence[NotificationAccepted]) -> None:
    bus = Bus(settings, service=INGEST, instance="bench")
    await bus.start()
    for low in range(0, len(events), PUBLISHED_AT_ONCE):
        await bus.publish([Outgoing(NOTIFICATION_ACCEPTED, one) for one in events[low : low + PUBLISHED_AT_ONCE]])
    await bus.stop()


async def read_all(settings: BusSettings, at: datetime, expected: int, quiet: float) -> Found:
    """Everything that was released, until nothing comes for `quiet` seconds."""
    found = Found()
    names = [settings.topic_name(topic) for topic in EXPAND_AUDIENCE]
    async with AIOKafkaConsumer(*names, bootstrap_servers=settings.servers, auto_offset_reset="earliest") as consumer:
        last = time.monotonic()
        while time.monotonic() - last < (quiet if len(found.late) >= expected else 10 * quiet):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                last = time.monotonic()
                for record in records:
                    found.add(record.value, record.timestamp / 1000 - at.timestamp())
    return found


async def released(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
    return int(await connection.fetchval("SELECT count(*) FROM scheduler.waiting WHERE ended_at IS NOT NULL"))


async def run(options: argparse.Namespace, folder: Path) -> bool:
    with servers(folder) as (bootstrap, server, running):
        settings = BusSettings(bootstrap_servers=bootstrap)
        connection = await connected(server.dsn("postgres"))
        topics = [NOTIFICATION_ACCEPTED, NOTIFICATION_REJECTED, NOTIFICATION_CONTROLLED, *CONTROL_NOTIFICATION]
        await create_topics(settings, [*topics, *EXPAND_AUDIENCE])
        await stamp_by_broker(settings)
        schedulers = Schedulers(settings, server.dsn("postgres"), folder, options.batch)
        instances = [str(number) for number in range(1, options.schedulers + 1)]
        try:
            for instance in instances:
                schedulers.start(instance)
            return await measure(options, settings, connection, schedulers, running)
        finally:
            schedulers.stop()
            await connection.close()


async def measure(
    options: argparse.Namespace,
    settings: BusSettings,
    connection: "asyncpg.Connection[asyncpg.Record]",
    schedulers: Schedulers,
    running: dict[str, int],
) -> bool:
    at = (datetime.now(UTC) + timedelta(seconds=options.lead)).replace(microsecond=0)
    events = waiting_events(options.notifications, at, options.urgent)
    began = time.monotonic()
    await load(settings, events)
    while await connection.fetchval("SELECT to_regclass('scheduler.control') IS NULL"):
        await asyncio.sleep(0.1)
    while await connection.fetchval("SELECT count(*) FROM scheduler.waiting") < len(events):
        await asyncio.sleep(0.2)
    held = time.monotonic() - began
    if datetime.now(UTC) >= at - timedelta(seconds=1):
        raise SystemExit(f"holding took {held:.0f} s: give it a longer --lead")
    pids = {**running, **{f"scheduler-{name}": process.pid for name, process in schedulers.processes.items()}}
    before = {name: usage(pid) for name, pid in pids.items()}
    await asyncio.sleep((at - datetime.now(UTC)).total_seconds())
    killed: dict[str, Usage] = {}
    if options.kill:
        killed = await kill_one(options, connection, schedulers, pids)
    while await connection.fetchval(SOME_LEFT):
        await asyncio.sleep(0.1)
    took = (datetime.now(UTC) - at).total_seconds()
    after = {name: killed.get(name) or usage(pid) for name, pid in pids.items()}
    for name, lost in killed.items():
        again = schedulers.processes[name.removeprefix("scheduler-")]
        if again.poll() is None:
            after[name] = Usage(lost.cpu_seconds + usage(again.pid).cpu_seconds, usage(again.pid).rss_mib)
    await asyncio.sleep(options.after)
    found = await read_all(settings, at, len(events), 1.0)
    return report(options, found, events, held, took, before, after)


async def kill_one(
    options: argparse.Namespace,
    connection: "asyncpg.Connection[asyncpg.Record]",
    schedulers: Schedulers,
    pids: dict[str, int],
) -> dict[str, Usage]:
    """Kill the first scheduler when so much is out; what it had used by then."""
    while await released(connection) < options.notifications * options.kill:
        await asyncio.sleep(0.2)
    used = usage(pids["scheduler-1"])
    schedulers.kill("1")
    if options.restart is not None:
        await asyncio.sleep(options.restart)
        schedulers.start("1")
    return {"scheduler-1": used}


def report(
    options: argparse.Namespace,
    found: Found,
    events: Sequence[NotificationAccepted],
    held: float,
    took: float,
    before: dict[str, Usage],
    after: dict[str, Usage],
) -> bool:
    wanted = {event.notification.notification_id for event in events}
    missing, strange = wanted - found.late.keys(), found.late.keys() - wanted
    late = sorted(found.late.values())
    cuts = statistics.quantiles(late, n=1000)
    early = sum(value < 0 for value in late)
    killed = f"one killed at {options.kill:.0%}" if options.kill else "none killed"
    again = f", started again after {options.restart:g} s" if options.restart is not None else ""
    print(f"{len(events)} due at once, {options.schedulers} schedulers, {killed}{again}")
    print(f"held in {held:.1f} s; all noted as released {took:.2f} s after their instant")
    print(f"released {len(found.late)}  never {len(missing)}  early {early}  unknown {len(strange)}")
    print(f"records again (the same event, absorbed) {found.again}  of them different {found.different}")
    print(f"late: p50 {cuts[499]:.2f} s  p99 {cuts[989]:.2f} s  p99.9 {cuts[998]:.2f} s  max {late[-1]:.2f} s")
    whole = Counter(int(value) for value in late)
    print("released in second", dict(sorted(whole.items())))
    print_cost(before, after, messages=len(events))
    return not missing and not strange and not early and not found.different


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notifications", type=int, default=100_000)
    parser.add_argument("--schedulers", type=int, default=2)
    parser.add_argument("--urgent", type=float, default=0.5, help="share of the urgent lane")
    parser.add_argument("--lead", type=float, default=60, help="seconds until they are due")
    parser.add_argument("--kill", type=float, default=0.3, help="kill one when this share is out; 0: none")
    parser.add_argument("--restart", type=float, help="seconds until the killed one is started again")
    parser.add_argument("--after", type=float, default=3, help="seconds to wait for what should not come")
    parser.add_argument("--batch", type=int, help="SCHEDULER_RELEASE_BATCH")
    parser.add_argument("--keep", type=Path, help="a folder for the logs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        good = uvloop.run(run(options, folder))
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
