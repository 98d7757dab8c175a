"""A dispatcher's process, one for each channel: `python -m services.dispatchers.app sms`."""

import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from importlib.resources import files
from uuid import uuid4

from libs import runtime
from libs.bus import Bus, BusSettings
from libs.contracts.routing import Channel, Lane
from libs.contracts.topics import DISPATCHER_SMS
from libs.settings import load
from libs.storage import Database, migrate
from libs.web import Server, add_health, application
from services import dispatchers
from services.dispatchers.dispatching import SCHEMA, Dispatching, Limits, partitions_of, wire
from services.dispatchers.http import HttpCarrier, HttpTransport
from services.dispatchers.repository import Owner
from services.dispatchers.routes import ReceiptRoutes
from services.dispatchers.settings import DispatcherSettings
from services.dispatchers.sms import PROVIDERS
from services.dispatchers.sms.settings import SmsDispatcherSettings

# Claiming, recording, reporting, sweeping, and a handler for each lane.
CONNECTIONS = 6


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


async def serve_sms(stack: AsyncExitStack) -> None:
    """Start in order; the stack stops in reverse: first the sender, so that its results still find bus and database."""
    settings = load(SmsDispatcherSettings)
    database = await Database.connect(
        settings.database.get_secret_value(), service=DISPATCHER_SMS, max_size=CONNECTIONS
    )
    stack.push_async_callback(database.close)
    await migrate(database, schema=SCHEMA, folder=files("services.dispatchers") / "migrations")
    bus = Bus(load(BusSettings), service=DISPATCHER_SMS, instance=settings.instance)
    limits = limits_of(settings)
    transport = await stack.enter_async_context(HttpTransport(connections=sum(limits.concurrency.values())))
    provider = PROVIDERS[settings.provider](settings.account())
    dispatching = Dispatching(
        Channel.SMS,
        database=database,
        carrier=HttpCarrier(provider, transport),
        bus=bus,
        owner=Owner(settings.instance, uuid4()),
        limits=limits,
        now=now,
        partitions=partitions_of(bus, Channel.SMS),
    )
    wire(bus, database, dispatching, settings.lanes)
    await dispatching.start(stack)

    app = application()
    ReceiptRoutes({provider.name: provider}, settings.receipt_secret, bus, now).add_to(app)
    add_health(app, {"postgres": database.ping, "bus": bus.check, provider.name: dispatching.check_route})
    server = Server(app, settings.host, settings.port)
    await server.start()
    stack.push_async_callback(server.stop)
    await bus.start()
    stack.push_async_callback(bus.stop)
    stack.push_async_callback(dispatching.stop)


def limits_of(settings: DispatcherSettings) -> Limits:
    """The published bounds."""
    return Limits(
        windows={Lane.URGENT: settings.window_urgent, Lane.BULK: settings.window_bulk},
        total=settings.window_total,
        concurrency={Lane.URGENT: settings.concurrency_urgent, Lane.BULK: settings.concurrency_bulk},
    )


CHANNELS = {"sms": (DISPATCHER_SMS, SmsDispatcherSettings, serve_sms)}


if __name__ == "__main__":
    channel = sys.argv[1] if len(sys.argv) > 1 else ""
    if channel not in CHANNELS:
        sys.exit(f"usage: python -m services.dispatchers.app {{{','.join(CHANNELS)}}} [options]")
    name, kind, serve = CHANNELS[channel]
    runtime.main(name, card=dispatchers.__doc__ or "", settings=(kind, BusSettings), serve=serve, argv=sys.argv[2:])
