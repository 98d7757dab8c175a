"""The sandbox's process: settings and wiring."""

import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from aiohttp import web

from libs import runtime
from libs.settings import load
from libs.web import Server, add_health, application
from services import sandbox
from services.sandbox.hooks import Hooks
from services.sandbox.reports import HttpReporting, Reports
from services.sandbox.repository import Inbox
from services.sandbox.routes import InboxRoutes
from services.sandbox.settings import SandboxSettings
from services.sandbox.smsc import Smsc
from services.sandbox.viber import Viber

SERVICE = "sandbox"


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def wire(settings: SandboxSettings, inbox: Inbox, reports: Reports) -> web.Application:
    """Everything that answers."""
    app = application()
    InboxRoutes(inbox, reports).add_to(app)
    key, delay = settings.carrier_key.get_secret_value(), settings.report_delay.total_seconds()
    Smsc(inbox, reports, key=key, report_delay=delay, now=now).add_to(app)
    Viber(inbox, reports, key=key, report_delay=delay, now=now).add_to(app)
    Hooks(inbox, now).add_to(app)
    add_health(app, {})
    return app


async def serve(stack: AsyncExitStack) -> None:
    """Start in order; the stack stops in reverse."""
    settings = load(SandboxSettings)
    inbox = Inbox(capacity=settings.capacity, honour_keys=settings.honour_keys, boot=f"{time.time_ns() // 1_000_000:x}")
    stack.callback(inbox.close)
    reporting = HttpReporting()
    stack.push_async_callback(reporting.close)
    reports = Reports(reporting.deliver)
    runtime.background(stack, reports.run, "reports")
    server = Server(wire(settings, inbox, reports), settings.host, settings.port)
    await server.start()
    stack.push_async_callback(server.stop)


if __name__ == "__main__":
    runtime.main(SERVICE, card=sandbox.__doc__ or "", settings=(SandboxSettings,), serve=serve)
