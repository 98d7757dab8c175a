"""Internal HTTP: how the process is."""

from aiohttp import web

from libs.bus import Bus
from libs.storage import Database
from libs.web import add_health, application


def routes(bus: Bus, database: Database) -> web.Application:
    """Liveness, readiness and metrics."""
    app = application()
    add_health(app, {"postgres": database.ping, "bus": bus.check})
    return app
