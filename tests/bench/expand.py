"""What expanding an audience costs: CPU microseconds per recipient of audience and of Postgres, without Kafka.

python -m tests.bench.expand --dsn postgresql://... [--people 100000] [--rounds 3] [--profile]

Contacts are made in a schema `audience` of the database, which should be empty. The handler runs page by page as the
bus would call it, and every message is serialized as the bus would send it.
"""

import argparse
import cProfile
import hashlib
import pstats
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.resources import files

import psutil
import uvloop

from libs.bus import Received
from libs.contracts.audience import ClientIds, StoredAudience
from libs.contracts.commands import ExpandAudience, SendDeliveries
from libs.contracts.content import SmsContent
from libs.contracts.ids import new_notification_id
from libs.contracts.notification import Notification, order_key
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.storage import Database, migrate
from services.audience.handlers import AudienceHandlers
from services.audience.repository import ContactRepository, PlanRepository
from services.audience.resolving import ListResolver

TENANT = "bench"


class Shelf:
    """The one stored list."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    async def get(self, tenant: str, sha256: str) -> bytes:
        return self.body


def command(audience: StoredAudience | ClientIds, lane: Lane) -> ExpandAudience:
    notification_id = new_notification_id(datetime.now(UTC))
    notification = Notification(
        notification_id=notification_id,
        lane=lane,
        channel=Channel.SMS,
        to=audience,
        content=SmsContent(text="Your table is ready"),
        message_class=MessageClass.BULK,
    )
    return ExpandAudience(
        type="expand.audience",
        event_id=notification_id,
        tenant=TENANT,
        key=order_key(notification),
        occurred_at=datetime.now(UTC),
        notification=notification,
    )


async def expand(database: Database, handlers: AudienceHandlers, first: ExpandAudience) -> tuple[int, int, int]:
    """Chunks, recipients planned, and bytes for Kafka."""
    chunks = planned = size = 0
    pages: Sequence[ExpandAudience] = [first]
    while pages:
        # From JSON, as the bus would bring it.
        arrived = [ExpandAudience.model_validate_json(page.model_dump_json()) for page in pages]
        received = [Received(page, "expand.audience", 0, 0, page.occurred_at, None) for page in arrived]
        async with database.transaction() as connection:
            effect = await handlers.on_expand_audience(received, connection)
        pages = []
        for outgoing in effect.publish:
            size += len(outgoing.message.model_dump_json())
            if isinstance(outgoing.message, SendDeliveries):
                chunks += 1
                planned += len(outgoing.message.addresses)
            elif isinstance(outgoing.message, ExpandAudience):
                pages = [outgoing.message]
    return chunks, planned, size


async def backend(database: Database) -> psutil.Process:
    async with database.connection() as connection:
        return psutil.Process(await connection.fetchval("SELECT pg_backend_pid()"))


async def campaign(database: Database, people: int, rounds: int, profile: cProfile.Profile | None) -> None:
    audience = ClientIds(client_ids=tuple(range(1, people + 1)))
    body = audience.model_dump_json().encode()
    stored = StoredAudience(sha256=hashlib.sha256(body).hexdigest(), size=len(body), count=people)
    server = await backend(database)
    for number in range(rounds):
        # A new resolver each time: the list is read anew, once.
        handlers = AudienceHandlers(ListResolver(Shelf(body)), ContactRepository(), PlanRepository())
        if profile and number:
            profile.enable()
        began, ours, theirs = time.perf_counter(), time.process_time(), _cpu(server)
        chunks, planned, size = await expand(database, handlers, command(stored, Lane.BULK))
        wall, ours, theirs = time.perf_counter() - began, time.process_time() - ours, _cpu(server) - theirs
        if profile:
            profile.disable()
        us = 1e6 / people
        cost = f"audience {ours * us:.2f} + Postgres {theirs * us:.2f} = {(ours + theirs) * us:.2f} us CPU each"
        print(
            f"{people} recipients: {cost}, {people / wall:,.0f}/s, {planned} planned in {chunks} chunks of"
            f" {planned / chunks:.0f}, {size / planned:.1f} bytes each"
        )


async def singles(database: Database, count: int) -> None:
    handlers = AudienceHandlers(ListResolver(Shelf(b"")), ContactRepository(), PlanRepository())
    server = await backend(database)
    seconds = []
    ours, theirs = time.process_time(), _cpu(server)
    for client_id in range(1, count + 1):
        began = time.perf_counter()
        await expand(database, handlers, command(ClientIds(client_ids=(client_id,)), Lane.URGENT))
        seconds.append(time.perf_counter() - began)
    ours, theirs = time.process_time() - ours, _cpu(server) - theirs
    seconds.sort()
    us = 1e6 / count
    print(
        f"{count} single recipients: p50 {seconds[count // 2] * 1e3:.2f} ms, p99 {seconds[count * 99 // 100] * 1e3:.2f}"
        f" ms, audience {ours * us:.0f} + Postgres {theirs * us:.0f} us CPU each"
    )


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def run(options: argparse.Namespace, profile: cProfile.Profile | None) -> None:
    database = await Database.connect(options.dsn, service="bench", max_size=1, command_timeout=120)
    try:
        await migrate(database, schema="audience", folder=files("services.audience") / "migrations")
        contacts, columns = ContactRepository(), ["fullname", "phone", "email", "locale", "timezone"]
        async with database.transaction() as connection:
            people = (
                (n, f"Person {n}", f"+1{2_025_550_000 + n}", f"person.{n}@example.com", "en-US", "America/New_York")
                for n in range(1, options.people + 1)
            )
            await contacts.stage(connection, columns, people)
            await contacts.merge_staged(connection, TENANT, columns)
        async with database.connection() as connection:
            await connection.execute("ANALYZE audience.contact")
        await campaign(database, options.people, options.rounds, profile)
        await singles(database, 500)
    finally:
        await database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="show where audience's own time goes")
    options = parser.parse_args()
    profile = cProfile.Profile() if options.profile else None
    start: Callable[[], None] = lambda: uvloop.run(run(options, profile))  # noqa: E731
    start()
    if profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
