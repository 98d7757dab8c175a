"""What the tracker's books cost: CPU time of this process and of Postgres, microseconds per message.

    .venv/bin/python -m tests.bench.track --database postgresql://postgres@127.0.0.1:5432/bench

Folds planned, attempted and receipts of campaigns into an empty database (its schema `tracker` is dropped first), as
records of the bus: decoded from JSON, so many in one transaction. `--spread` says how many messages the receipts of one
moment are drawn from: a carrier reports late and out of order, so the receipts of one record touch many blocks.
"""

import argparse
import gc
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import psutil
import uvloop

from libs.bus import Received
from libs.contracts.commands import SendDeliveries
from libs.contracts.content import SmsContent
from libs.contracts.envelope import PLATFORM, Message
from libs.contracts.events import DeliveryAttempted, NotificationExpanded, ReceiptReceived
from libs.contracts.ids import NotificationId, chunk_id, new_notification_id
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.contracts.states import DeliveryState
from libs.storage import Database, migrate
from services.tracker.handlers import TrackerHandlers

TENANT = "demo"
CHUNK = 500


def envelope(key: str, at: datetime, tenant: str = TENANT) -> dict[str, Any]:
    return {"event_id": uuid4(), "tenant": tenant, "key": key, "occurred_at": at}


def planned(notification: NotificationId, first: int, at: datetime) -> SendDeliveries:
    return SendDeliveries(
        **envelope("0", at),
        chunk_id=chunk_id(notification, first),
        notification_id=notification,
        lane=Lane.BULK,
        channel=Channel.SMS,
        message_class=MessageClass.BULK,
        content=SmsContent(text="Hello"),
        first_number=first,
        client_ids=tuple(range(first, first + CHUNK)),
        addresses=tuple(f"+4879{number:07}" for number in range(first, first + CHUNK)),
    )


def attempted(chunk: SendDeliveries, low: int, high: int, at: datetime) -> DeliveryAttempted:
    return DeliveryAttempted(
        **envelope("0", at),
        claim_id=uuid4(),
        chunk_id=chunk.chunk_id,
        notification_id=chunk.notification_id,
        lane=Lane.BULK,
        channel=Channel.SMS,
        provider="http_smsc",
        finished_at=at,
        numbers=tuple(range(chunk.first_number + low, chunk.first_number + high)),
        attempts=(1,) * (high - low),
        states=(DeliveryState.SENT,) * (high - low),
        reasons=("",) * (high - low),
        provider_message_ids=tuple(uuid4().hex for _ in range(high - low)),
    )


def received(ids: Sequence[str], at: datetime) -> ReceiptReceived:
    return ReceiptReceived(
        **envelope("0", at, PLATFORM),
        provider="http_smsc",
        received_at=at,
        provider_message_ids=tuple(ids),
        states=(DeliveryState.DELIVERED,) * len(ids),
        codes=("000",) * len(ids),
        reported_at=(at,) * len(ids),
    )


class Meter:
    """CPU seconds of this process and of every process of the server, and the bytes of WAL."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", postmaster: int) -> None:
        self._connection = connection
        self._postmaster = psutil.Process(postmaster)
        self._gone: dict[int, float] = {}

    async def read(self) -> tuple[float, float, int]:
        family = [self._postmaster, *self._postmaster.children(recursive=True)]
        for process in family:
            times = process.cpu_times()
            self._gone[process.pid] = times.user + times.system
        wal = await self._connection.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'")
        return time.process_time(), sum(self._gone.values()), int(wal)


async def feed(database: Database, handler: Any, records: Sequence[bytes], kind: type[Message], batch: int) -> None:
    for low in range(0, len(records), batch):
        messages = [kind.model_validate_json(record) for record in records[low : low + batch]]
        at = datetime.now(UTC)
        got = [Received(message, "topic", 0, low + i, at, None) for i, message in enumerate(messages)]
        async with database.transaction() as connection:
            effect = await handler(got, connection)
        if effect.committed is not None:
            effect.committed()


async def run(options: argparse.Namespace) -> None:
    connection = await asyncpg.connect(options.database)
    await connection.execute("DROP SCHEMA IF EXISTS tracker CASCADE")
    database = await Database.connect(options.database, service="tracker", max_size=4, command_timeout=60)
    await migrate(database, schema="tracker", folder=Path(__file__).parents[2] / "services/tracker/migrations")
    backend = await connection.fetchval("SELECT pg_backend_pid()")
    meter = Meter(connection, psutil.Process(backend).ppid())
    handlers = TrackerHandlers()
    now = datetime.now(UTC)
    totals = {"planned": [0.0, 0.0, 0.0], "attempted": [0.0, 0.0, 0.0], "receipt": [0.0, 0.0, 0.0]}

    async def measured(name: str, handler: Any, events: Sequence[Message], batch: int) -> None:
        records = [event.model_dump_json().encode() for event in events]
        kind = type(events[0])
        gc.collect()
        gc.freeze()  # what this programme keeps for itself is not to be walked through at the tracker's expense
        before = await meter.read()
        await feed(database, handler, records, kind, batch)
        after = await meter.read()
        for at in range(3):
            totals[name][at] += after[at] - before[at]

    done = 0
    notification = new_notification_id(now)
    while done < options.messages:
        size = min(options.campaign, options.messages - done)
        notification = new_notification_id(now)
        chunks = [planned(notification, first, now) for first in range(0, size, CHUNK)]
        await measured("planned", handlers.on_send_deliveries, chunks, options.batch)
        expanded = NotificationExpanded(**envelope("0", now), notification_id=notification, planned=size, suppressed=0)
        got = [Received(expanded, "topic", 0, 0, now, None)]
        async with database.transaction() as one:
            await handlers.on_notification_expanded(got, one)
        windows = [
            attempted(chunk, low, min(low + options.window, CHUNK), now)
            for chunk in chunks
            for low in range(0, CHUNK, options.window)
        ]
        await measured("attempted", handlers.on_delivery_attempted, windows, options.batch * CHUNK // options.window)
        ids = [message_id for window in windows for message_id in window.provider_message_ids]
        for low in range(0, len(ids), options.spread):
            part = ids[low : low + options.spread]
            random.shuffle(part)
            ids[low : low + options.spread] = part
        later = now + timedelta(seconds=5)
        reports = [received(ids[low : low + CHUNK], later) for low in range(0, len(ids), CHUNK)]
        await measured("receipt", handlers.on_receipt_received, reports, options.batch)
        done += size
    print(f"{options.messages} messages, batch {options.batch}, window {options.window}, spread {options.spread}")
    print(f"{'us/message':<12}{'client':>8}{'server':>8}{'both':>8}{'WAL B':>8}")
    for name, (client, server, wal) in [
        *totals.items(),
        ("all", [sum(column) for column in zip(*totals.values(), strict=True)]),
    ]:
        each = [value / done * 1e6 for value in (client, server, client + server)]
        print(f"{name:<12}{each[0]:>8.2f}{each[1]:>8.2f}{each[2]:>8.2f}{wal / done:>8.0f}")
    row = await connection.fetchrow("SELECT * FROM tracker.notification WHERE notification_id = $1", notification)
    print({name: value for name, value in (row or {}).items() if isinstance(value, int) and value})
    await connection.execute("SELECT pg_stat_clear_snapshot()")
    for row in await connection.fetch(
        """SELECT relname, n_live_tup, n_tup_upd, n_tup_hot_upd, pg_total_relation_size(relid) AS bytes
           FROM pg_stat_user_tables WHERE schemaname = 'tracker' AND n_live_tup > 0 ORDER BY relname"""
    ):
        print(f"{row[0]:<14} rows {row[1]:>8} updates {row[2]:>8} HOT {row[3]:>8} MB {row[4] / 2**20:>7.1f}")
    await database.close()
    await connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", required=True)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--campaign", type=int, default=100_000, help="messages of one notification")
    parser.add_argument("--batch", type=int, default=8, help="chunks in one transaction")
    parser.add_argument("--window", type=int, default=500, help="messages in one attempted record")
    parser.add_argument("--spread", type=int, default=10_000, help="messages that are reported in random order")
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
