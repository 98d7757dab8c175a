"""The gateway's process."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime

import services.gateway as card
from libs import runtime
from libs.bus import BusSettings, Intake
from libs.contracts.failures import Unavailable
from libs.internal_http import ContentStore, InternalClient, InternalSettings
from libs.settings import load
from libs.storage import Database
from libs.web import Server, add_health, application
from services.gateway.accepting import Accepting
from services.gateway.credentials import Credentials
from services.gateway.idempotency import Idempotency
from services.gateway.limits import RequestLimit
from services.gateway.reading import Reading
from services.gateway.repository import GatewayRepository
from services.gateway.routes import Front, render
from services.gateway.schema import migrate_schema
from services.gateway.settings import GatewaySettings

# Below 0.5 s each, so that a frozen Postgres (it costs twice the command's) leaves time for a 503 within three seconds.
COMMAND_SECONDS = 0.5
ACQUIRE_SECONDS = 0.5
SWEEP_EVERY = 600.0


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
        service="gateway",
        max_size=settings.pool_size,
        command_timeout=COMMAND_SECONDS,
        acquire_timeout=ACQUIRE_SECONDS,
    )
    stack.push_async_callback(database.close)
    repository = GatewayRepository(database)
    runtime.repeat(stack, repository.forget_expired, "forget expired idempotency keys", pause=SWEEP_EVERY)

    intake = Intake(load(BusSettings), instance=settings.instance)
    await intake.start()
    stack.push_async_callback(intake.stop)
    ingest = InternalClient(internal.ingest_url, internal.token)
    stack.push_async_callback(ingest.close)
    tracker = InternalClient(internal.tracker_url, internal.token)
    stack.push_async_callback(tracker.close)
    idempotency = Idempotency(repository)
    stack.push_async_callback(idempotency.stop)

    front = Front(
        credentials=Credentials(repository, pepper=pepper, remember=settings.credential_cache, now=now),
        limit=RequestLimit(),
        idempotency=idempotency,
        accepting=Accepting(intake, ContentStore(ingest)),
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
    server = Server(app, settings.host, settings.port)
    await server.start()
    stack.push_async_callback(server.stop)


if __name__ == "__main__":
    runtime.main(
        "gateway",
        card=card.__doc__ or "",
        settings=(GatewaySettings, BusSettings, InternalSettings),
        serve=serve,
    )
