"""The audience process."""

from contextlib import AsyncExitStack
from importlib.resources import files

from libs import runtime
from libs.bus import Bus, BusSettings
from libs.contracts.routing import Lane
from libs.contracts.topics import AUDIENCE, EXPAND_AUDIENCE, NOTIFICATION_CONTROLLED
from libs.internal_http import ContentStore, InternalClient, InternalSettings
from libs.settings import load
from libs.storage import Database, Store, migrate
from libs.web import Server
from services import audience
from services.audience.handlers import AudienceHandlers
from services.audience.repository import ContactRepository, GateRepository, PlanRepository, UpkeepRepository
from services.audience.resolving import Content, ListResolver
from services.audience.routes import routes
from services.audience.settings import AudienceSettings
from services.audience.sweeping import SWEEP, Sweeper

SCHEMA = "audience"
# One transaction and one publish for a batch. On the bulk lane a record may be a page of 11,000 recipients.
BATCH = {Lane.URGENT: 200, Lane.BULK: 16}
# A resumed notification may have a few hundred parked commands of 15 KB.
CONTROLLED_BATCH = 20


def wire(bus: Bus, store: Store, content: Content, settings: AudienceSettings) -> None:
    """Subscribe to what audience consumes, on the lanes this process serves."""
    handlers = AudienceHandlers(ListResolver(content), ContactRepository(), PlanRepository(), GateRepository())
    for lane in settings.lanes:
        bus.subscribe(EXPAND_AUDIENCE[lane], handlers.on_expand_audience, store, max_records=BATCH[lane])
    bus.subscribe(NOTIFICATION_CONTROLLED, handlers.on_notification_controlled, store, max_records=CONTROLLED_BATCH)


async def serve(stack: AsyncExitStack) -> None:
    """Start in order; `stack` stops in reverse."""
    settings, internal = load(AudienceSettings), load(InternalSettings)
    database = await Database.connect(settings.database.get_secret_value(), service=AUDIENCE)
    stack.push_async_callback(database.close)
    await migrate(database, schema=SCHEMA, folder=files("services.audience") / "migrations")
    ingest = InternalClient(internal.ingest_url, internal.token)
    stack.push_async_callback(ingest.close)
    bus = Bus(load(BusSettings), service=AUDIENCE, instance=settings.instance)
    wire(bus, Store(database, SCHEMA), ContentStore(ingest), settings)
    server = Server(routes(bus, database), settings.host, settings.port)
    await server.start()
    stack.push_async_callback(server.stop)
    await bus.start()
    stack.push_async_callback(bus.stop)
    runtime.repeat(stack, Sweeper(database, UpkeepRepository()).sweep, "sweep", pause=SWEEP)


if __name__ == "__main__":
    runtime.main(
        AUDIENCE,
        card=audience.__doc__ or "",
        settings=(AudienceSettings, InternalSettings, BusSettings),
        serve=serve,
    )
