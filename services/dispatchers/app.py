"""A dispatcher's process, one for each channel: `python -m services.dispatchers.app sms`.

To add a channel: a package with its settings and a function that opens its routes, and a line in CHANNELS.
"""

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from typing import Any, Generic, TypeVar
from uuid import uuid4

from libs import runtime
from libs.bus import Bus, BusSettings
from libs.contracts.routing import Channel, Lane
from libs.contracts.topics import DISPATCHER_SMS, DISPATCHER_VIBER, DISPATCHER_WEBHOOK
from libs.internal_http import InternalSettings
from libs.settings import Settings, load
from libs.signing import SigningSettings
from libs.storage import Database, migrate
from libs.web import Server, add_health, application
from services import dispatchers
from services.dispatchers.account_routes import AccountRoutes
from services.dispatchers.carriers import open_carriers
from services.dispatchers.dispatching import SCHEMA, Dispatching, Limits, partitions_of, wire
from services.dispatchers.repository import Owner
from services.dispatchers.route import Route
from services.dispatchers.routes import ReceiptRoutes
from services.dispatchers.settings import CarrierSettings, DispatcherSettings
from services.dispatchers.sms.settings import SmsDispatcherSettings
from services.dispatchers.viber.settings import ViberDispatcherSettings
from services.dispatchers.webhook.carrier import open_webhooks
from services.dispatchers.webhook.settings import WebhookDispatcherSettings

S = TypeVar("S", bound=DispatcherSettings)

# Claiming, recording, reporting, sweeping, ending, what is decided, and a handler for each lane; a rated route needs
# one more.
CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Served(Generic[S]):
    """A channel: its process's name, its settings, and what opens its routes (`stack` closes them again), which may
    read settings `besides`."""

    channel: Channel
    service: str
    settings: type[S]
    open_routes: Callable[[S, AsyncExitStack], Awaitable[Sequence[Route]]]
    besides: Sequence[type[Settings]] = ()


CHANNELS: Mapping[str, Served[Any]] = {
    "sms": Served(Channel.SMS, DISPATCHER_SMS, SmsDispatcherSettings, open_carriers),
    "viber": Served(Channel.VIBER, DISPATCHER_VIBER, ViberDispatcherSettings, open_carriers),
    "webhook": Served(
        Channel.WEBHOOK, DISPATCHER_WEBHOOK, WebhookDispatcherSettings, open_webhooks, besides=(SigningSettings,)
    ),
}


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


async def serve(served: Served[S], stack: AsyncExitStack) -> None:
    """Start in order; the stack stops in reverse: first the sender, so that its results still find bus and database."""
    settings, internal = load(served.settings), load(InternalSettings)
    routes = await served.open_routes(settings, stack)
    database = await Database.connect(
        settings.database.get_secret_value(),
        service=served.service,
        max_size=CONNECTIONS + sum(route.rate is not None for route in routes),
    )
    stack.push_async_callback(database.close)
    await migrate(database, schema=SCHEMA, folder=files("services.dispatchers") / "migrations")
    bus = Bus(load(BusSettings), service=served.service, instance=settings.instance)
    dispatching = Dispatching(
        served.channel,
        database=database,
        routes=routes,
        bus=bus,
        owner=Owner(settings.instance, uuid4()),
        limits=limits_of(settings),
        now=now,
        partitions=partitions_of(bus, served.channel),
    )
    wire(bus, database, dispatching, settings.lanes)
    await dispatching.start(stack)

    app = application()
    if isinstance(settings, CarrierSettings):
        callbacks = {route.name: route.callbacks for route in routes if route.callbacks}
        ReceiptRoutes(callbacks, settings.receipt_secret, bus, now).add_to(app)
    AccountRoutes(database, settings.price, internal.token).add_to(app)
    add_health(app, {"postgres": database.ping, "bus": bus.check, **dispatching.checks()})
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
        lease=settings.lease,
        price=settings.price,
    )


if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in CHANNELS:
        sys.exit(f"usage: python -m services.dispatchers.app {{{','.join(CHANNELS)}}} [options]")
    chosen = CHANNELS[name]
    runtime.main(
        chosen.service,
        card=dispatchers.__doc__ or "",
        settings=(chosen.settings, *chosen.besides, InternalSettings, BusSettings),
        serve=partial(serve, chosen),
        argv=sys.argv[2:],
    )
