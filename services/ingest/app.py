"""Ingest's process: settings and wiring."""

from contextlib import AsyncExitStack
from importlib.resources import files
from typing import cast

from aiohttp import web

from libs import runtime
from libs.bus import Bus, BusSettings
from libs.contracts.topics import INGEST, SEND_NOTIFICATION, Topic
from libs.internal_http import InternalSettings
from libs.settings import load
from libs.storage import Database, DeadLetters, Store, migrate
from libs.web import Server, add_health, application, require_internal_token
from services import ingest
from services.ingest.decoding import Decoder
from services.ingest.handlers import IngestHandlers
from services.ingest.repository import ContentRepository, NotificationRepository
from services.ingest.routes import ContentRoutes
from services.ingest.settings import IngestSettings
from services.ingest.submission import Submission

SCHEMA = "ingest"
# Bodies of up to 64 MiB are held in memory while they are stored.
MAX_CONCURRENT = 16


def wire(bus: Bus, database: Database, settings: IngestSettings) -> None:
    """Connect the topics to what handles them."""
    handlers = IngestHandlers(NotificationRepository(), ContentRepository(), DeadLetters(SCHEMA))
    decode = Decoder()
    for lane in settings.lanes:
        bus.subscribe(
            # Records of three kinds lie on it, and the decoder makes one kind of them.
            cast("Topic[Submission]", SEND_NOTIFICATION[lane]),
            handlers.on_send_notification,
            Store(database, SCHEMA),
            decode=decode,
            rejected=handlers.on_unreadable,
            max_records=settings.batch_records,
        )


def content_application(database: Database, internal: InternalSettings) -> web.Application:
    """The internal HTTP side."""
    app = application(max_concurrent=MAX_CONCURRENT, honour_traceparent=True)
    app.middlewares.append(require_internal_token(internal.token))
    ContentRoutes(database, ContentRepository()).add_to(app)
    return app


async def serve(stack: AsyncExitStack) -> None:
    """Start in order; the stack stops in reverse."""
    settings = load(IngestSettings)
    database = await Database.connect(settings.database.get_secret_value(), service=INGEST, max_size=settings.pool_size)
    stack.push_async_callback(database.close)
    await migrate(database, schema=SCHEMA, folder=files("services.ingest") / "migrations")
    bus = Bus(load(BusSettings), service=INGEST, instance=settings.instance)
    wire(bus, database, settings)
    app = content_application(database, load(InternalSettings))
    add_health(app, {"postgres": database.ping, "bus": bus.check})
    server = Server(app, settings.host, settings.port)
    await server.start()
    stack.push_async_callback(server.stop)
    await bus.start()
    stack.push_async_callback(bus.stop)


if __name__ == "__main__":
    runtime.main(
        INGEST, card=ingest.__doc__ or "", settings=(IngestSettings, BusSettings, InternalSettings), serve=serve
    )
