"""The scheduler's process: settings and wiring."""

from contextlib import AsyncExitStack
from datetime import timedelta
from importlib.resources import files

from libs import runtime
from libs.bus import Bus, BusSettings
from libs.contracts.topics import NOTIFICATION_ACCEPTED, SCHEDULER
from libs.settings import load
from libs.storage import Database, Store, migrate
from libs.web import Server
from services import scheduler
from services.scheduler.handlers import SchedulerHandlers
from services.scheduler.release import Releaser
from services.scheduler.repository import WaitingRepository
from services.scheduler.routes import scheduler_application
from services.scheduler.settings import SchedulerSettings

SCHEMA = "scheduler"
# What is accepted for later can wait until what is due now has left: late by this much at the most.
LINGER = timedelta(milliseconds=250)


def wire(bus: Bus, database: Database, settings: SchedulerSettings) -> Releaser:
    """Connect everything; what the process has to run comes back."""
    repository = WaitingRepository()
    releaser = Releaser(
        database,
        repository,
        bus.publish,
        lease=settings.lease,
        longest_pause=settings.longest_pause,
        batch=settings.release_batch,
    )
    handlers = SchedulerHandlers(repository, releaser.wake)
    bus.subscribe(NOTIFICATION_ACCEPTED, handlers.on_notification_accepted, Store(database, SCHEMA), linger=LINGER)
    return releaser


async def serve(stack: AsyncExitStack) -> None:
    """Start in order; the stack stops in reverse."""
    settings = load(SchedulerSettings)
    database = await Database.connect(settings.database.get_secret_value(), service=SCHEDULER)
    stack.push_async_callback(database.close)
    await migrate(database, schema=SCHEMA, folder=files("services.scheduler") / "migrations")
    bus = Bus(load(BusSettings), service=SCHEDULER, instance=settings.instance)
    releaser = wire(bus, database, settings)
    server = Server(scheduler_application({"postgres": database.ping, "bus": bus.check}), settings.host, settings.port)
    await server.start()
    stack.push_async_callback(server.stop)
    await bus.start()
    stack.push_async_callback(bus.stop)
    runtime.background(stack, releaser.run, "release")


if __name__ == "__main__":
    runtime.main(SCHEDULER, card=scheduler.__doc__ or "", settings=(SchedulerSettings, BusSettings), serve=serve)
