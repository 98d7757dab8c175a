"""The scheduler's process: settings and wiring."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files

from libs import runtime
from libs.bus import Bus, BusSettings
from libs.contracts.topics import CONTROL_NOTIFICATION, NOTIFICATION_ACCEPTED, SCHEDULER
from libs.internal_http import InternalSettings
from libs.settings import load
from libs.storage import Database, Store, migrate
from libs.web import Server
from services import scheduler
from services.scheduler.controlling import Controller
from services.scheduler.handlers import SchedulerHandlers
from services.scheduler.release import Releaser, Rules
from services.scheduler.repository import ControlRepository, UpkeepRepository, WaitingRepository
from services.scheduler.routes import ControlRoutes, scheduler_application
from services.scheduler.settings import SchedulerSettings
from services.scheduler.telling import Teller
from services.scheduler.turning import Turning
from services.scheduler.upkeep import Upkeep

SCHEMA = "scheduler"
CONNECTIONS = 8
# What is accepted for later can wait until what is due now has left: late by this much at the most.
LINGER = timedelta(milliseconds=250)
UPKEEP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Work:
    """What the process has to run."""

    controller: Controller
    releaser: Releaser
    releasing: Turning
    telling: Turning

    def wake(self) -> None:
        """There may be something to release and something to tell."""
        self.releasing.wake()
        self.telling.wake()


def wire(bus: Bus, database: Database, settings: SchedulerSettings) -> Work:
    """Connect everything; what the process has to run comes back."""
    waiting, controls = WaitingRepository(), ControlRepository()
    controller = Controller(waiting, controls)
    telling = Turning(Teller(database, controls, bus.publish, longest_pause=settings.longest_pause).turn, "telling")
    releaser = Releaser(database, waiting, controller, bus.publish, rules_of(settings), told=telling.wake)
    releasing = Turning(releaser.turn, "release")
    handlers = SchedulerHandlers(controller, releasing.wake)
    store = Store(database, SCHEMA)
    bus.subscribe(NOTIFICATION_ACCEPTED, handlers.on_notification_accepted, store, linger=LINGER)
    bus.subscribe(tuple(CONTROL_NOTIFICATION), handlers.on_control_notification, store)
    return Work(controller, releaser, releasing, telling)


def rules_of(settings: SchedulerSettings) -> Rules:
    """How releases are done."""
    return Rules(
        owner=settings.instance,
        lease=settings.lease,
        longest_pause=settings.longest_pause,
        grace=settings.misfire_grace,
        batch=settings.release_batch,
    )


async def serve(stack: AsyncExitStack) -> None:
    """Start in order; the stack stops in reverse."""
    settings, internal = load(SchedulerSettings), load(InternalSettings)
    database = await Database.connect(settings.database.get_secret_value(), service=SCHEDULER, max_size=CONNECTIONS)
    stack.push_async_callback(database.close)
    await migrate(database, schema=SCHEMA, folder=files("services.scheduler") / "migrations")
    bus = Bus(load(BusSettings), service=SCHEDULER, instance=settings.instance)
    work = wire(bus, database, settings)
    await work.releaser.begin()
    controls = ControlRoutes(database, work.controller, work.wake)
    app = scheduler_application(controls, internal.token, {"postgres": database.ping, "bus": bus.check})
    server = Server(app, settings.host, settings.port)
    await server.start()
    stack.push_async_callback(server.stop)
    await bus.start()
    stack.push_async_callback(bus.stop)
    runtime.background(stack, work.releasing.run, "release")
    runtime.background(stack, work.telling.run, "telling")
    runtime.repeat(stack, Upkeep(database, UpkeepRepository()).run, "upkeep", pause=UPKEEP_SECONDS)


if __name__ == "__main__":
    runtime.main(
        SCHEDULER,
        card=scheduler.__doc__ or "",
        settings=(SchedulerSettings, InternalSettings, BusSettings),
        serve=serve,
    )
