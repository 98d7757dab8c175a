"""The gateway's process."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime

import services.gateway as card
from libs import runtime
from libs.bus import Bus, BusSettings, Intake
from libs.contracts.failures import Unavailable
from libs.contracts.topics import (
    CONTROL_NOTIFICATION,
    DELIVERY_SETTLED,
    GATEWAY,
    NOTIFICATION_COMPLETED,
    SEND_NOTIFICATION,
)
from libs.internal_http import ContentStore, InternalClient, InternalSettings
from libs.settings import load
from libs.signing import SigningSettings
from libs.storage import Database, Store
from libs.web import Server, add_health, application
from services.gateway.accepting import Accepting
from services.gateway.asking import Asking
from services.gateway.balances import Balances
from services.gateway.controlling import Controlling
from services.gateway.credentials import Credentials
from services.gateway.handlers import on_delivery_settled, on_notification_completed
from services.gateway.idempotency import Idempotency
from services.gateway.limits import RequestLimit
from services.gateway.reading import Reading
from services.gateway.repository import GatewayRepository
from services.gateway.routes import Front, render
from services.gateway.schema import SCHEMA, migrate_schema
from services.gateway.settings import GatewaySettings
from services.gateway.signing_secrets import SigningSecrets
from services.gateway.translation import Owner

# Below 0.5 s each, so that a frozen Postgres (it costs twice the command's) leaves time for a 503 within three seconds.
COMMAND_SECONDS = 0.5
ACQUIRE_SECONDS = 0.5
SWEEP_EVERY = 600.0
# A connection for each subscription: callbacks and calls do not wait for each other's.
CALLBACK_POOL = 2
# An event of 500 deliveries takes 5 ms and more to be read and put into words, in which no call is answered.
SETTLED_AT_ONCE = 2
COMPLETED_AT_ONCE = 50


def wire(bus: Bus, store: Store) -> None:
    """Subscribe to what callers asked to be told."""
    bus.subscribe(DELIVERY_SETTLED, on_delivery_settled, store, max_records=SETTLED_AT_ONCE)
    bus.subscribe(NOTIFICATION_COMPLETED, on_notification_completed, store, max_records=COMPLETED_AT_ONCE)


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


async def serve(stack: AsyncExitStack) -> None:
    """Start everything in order."""
    settings = load(GatewaySettings)
    internal = load(InternalSettings)
    pepper = settings.pepper.get_secret_value().encode()

    await migrate_schema(settings)
    database = await Database.connect(
        settings.database.get_secret_value(),
        service=GATEWAY,
        max_size=settings.pool_size,
        command_timeout=COMMAND_SECONDS,
        acquire_timeout=ACQUIRE_SECONDS,
    )
    stack.push_async_callback(database.close)
    repository = GatewayRepository(database)
    runtime.repeat(stack, repository.forget_expired, "forget expired idempotency keys", pause=SWEEP_EVERY)

    topics = (*SEND_NOTIFICATION, CONTROL_NOTIFICATION.urgent)
    intake = Intake(load(BusSettings), instance=settings.instance, topics=topics)
    await intake.start()
    stack.push_async_callback(intake.stop)
    ingest = InternalClient(internal.ingest_url, internal.token)
    stack.push_async_callback(ingest.close)
    tracker = InternalClient(internal.tracker_url, internal.token)
    stack.push_async_callback(tracker.close)
    dispatcher = InternalClient(internal.dispatcher_url, internal.token)
    stack.push_async_callback(dispatcher.close)
    idempotency = Idempotency(repository)
    stack.push_async_callback(idempotency.stop)

    front = Front(
        credentials=Credentials(repository, pepper=pepper, remember=settings.credential_cache, now=now),
        limit=RequestLimit(),
        idempotency=idempotency,
        accepting=Accepting(intake, ContentStore(ingest), Balances(dispatcher)),
        controlling=Controlling(intake, tracker, now),
        asking=Asking({Owner.TRACKER: tracker, Owner.GATEWAY: SigningSecrets(load(SigningSettings))}, now),
        reading=Reading(tracker, now),
        now=now,
    )
    app = application(render=render, honour_traceparent=True)
    front.add_routes(app)

    async def takes_calls() -> None:
        if intake.is_open:
            raise Unavailable("Kafka does not acknowledge")

    # Postgres is not asked: without it, calls with remembered credentials and no Idempotency-Key are still taken.
    add_health(app, {"kafka": takes_calls})
    await _subscribe(stack, settings)
    server = Server(app, settings.host, settings.port)
    await server.start()
    stack.push_async_callback(server.stop)


async def _subscribe(stack: AsyncExitStack, settings: GatewaySettings) -> None:
    """Consume beside the calls, which wait for nothing of it: not for Kafka at the start either."""
    dsn = settings.database.get_secret_value()
    database = await Database.connect(dsn, service=GATEWAY, max_size=CALLBACK_POOL)
    stack.push_async_callback(database.close)
    bus = Bus(load(BusSettings), service=GATEWAY, instance=settings.instance)
    wire(bus, Store(database, SCHEMA))
    stack.push_async_callback(bus.stop)
    runtime.background(stack, bus.start, "callbacks")


if __name__ == "__main__":
    runtime.main(
        GATEWAY,
        card=card.__doc__ or "",
        settings=(GatewaySettings, BusSettings, InternalSettings, SigningSettings),
        serve=serve,
    )
