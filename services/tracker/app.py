"""The tracker process."""

from contextlib import AsyncExitStack
from datetime import timedelta
from importlib.resources import files

import services.tracker
from libs import runtime
from libs.bus import Bus, BusSettings
from libs.contracts.topics import (
    DELIVERY_ATTEMPTED,
    DELIVERY_SUPPRESSED,
    NOTIFICATION_ACCEPTED,
    NOTIFICATION_CONTROLLED,
    NOTIFICATION_EXPANDED,
    NOTIFICATION_REJECTED,
    RECEIPT_RECEIVED,
    SEND,
    TRACKER,
)
from libs.internal_http import InternalSettings
from libs.settings import load
from libs.storage import Database, Store, migrate
from libs.telemetry import TelemetrySettings
from libs.web import Server
from services.tracker.callbacks import Callbacks
from services.tracker.fallback_timers import FallbackTimers
from services.tracker.handlers import TrackerHandlers
from services.tracker.outbox import Outbox
from services.tracker.resending import Resending
from services.tracker.routes import routes
from services.tracker.settings import TrackerSettings
from services.tracker.sweeping import OrphanSweep

SCHEMA = "tracker"
# What is full of deliveries: 16 chunks of 500 share the price of a transaction and hold their blocks for some 0.1 s.
CHUNKS = 16
# Nobody waits for a status, but everybody for the two cores: facts about a single message are folded when it has left.
LINGER = timedelta(milliseconds=250)


def wire(bus: Bus, store: Store) -> None:
    """Subscribe to what the tracker consumes."""
    handlers = TrackerHandlers()
    bus.subscribe(NOTIFICATION_ACCEPTED, handlers.on_notification_accepted, store, linger=LINGER)
    bus.subscribe(NOTIFICATION_REJECTED, handlers.on_notification_rejected, store, linger=LINGER)
    bus.subscribe(NOTIFICATION_EXPANDED, handlers.on_notification_expanded, store, linger=LINGER)
    bus.subscribe(NOTIFICATION_CONTROLLED, handlers.on_notification_controlled, store)
    chunks = [topic for lanes in SEND.values() for topic in lanes]
    bus.subscribe(chunks, handlers.on_send_deliveries, store, max_records=CHUNKS, linger=LINGER)
    bus.subscribe(DELIVERY_SUPPRESSED, handlers.on_delivery_suppressed, store, max_records=CHUNKS, linger=LINGER)
    bus.subscribe(DELIVERY_ATTEMPTED, handlers.on_delivery_attempted, store, max_records=CHUNKS, linger=LINGER)
    bus.subscribe(RECEIPT_RECEIVED, handlers.on_receipt_received, store, max_records=CHUNKS, linger=LINGER)


async def serve(stack: AsyncExitStack) -> None:
    """Start in order; `stack` stops in reverse."""
    settings, internal = load(TrackerSettings), load(InternalSettings)
    database = await Database.connect(
        settings.database.get_secret_value(), service=TRACKER, max_size=settings.pool_size
    )
    stack.push_async_callback(database.close)
    await migrate(database, schema=SCHEMA, folder=files("services.tracker") / "migrations")
    bus = Bus(load(BusSettings), service=TRACKER, instance=settings.instance)
    wire(bus, Store(database, SCHEMA))
    outbox = Outbox(database, bus.publish, pause=settings.sweep_pause)
    resending = Resending(database, published=outbox.wake)
    server = Server(routes(bus, database, internal.token, resending), settings.host, settings.port)
    await server.start()
    stack.push_async_callback(server.stop)
    await bus.start()
    stack.push_async_callback(bus.stop)
    pause = settings.sweep_pause.total_seconds()
    runtime.repeat(stack, outbox.run, "outbox", pause=0)
    runtime.repeat(stack, OrphanSweep(database).run, "orphans", pause=pause)
    runtime.repeat(stack, FallbackTimers(database, published=outbox.wake).run, "fallback timers", pause=pause)
    runtime.repeat(stack, Callbacks(database, published=outbox.wake).run, "callbacks", pause=pause)


if __name__ == "__main__":
    runtime.main(
        TRACKER,
        card=services.tracker.__doc__ or "",
        settings=(TrackerSettings, InternalSettings, BusSettings, TelemetrySettings),
        serve=serve,
    )
