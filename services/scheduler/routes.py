"""The scheduler's HTTP side: health and metrics, nothing to ask yet."""

from collections.abc import Mapping

from aiohttp import web

from libs.web import Check, add_health, application


def scheduler_application(checks: Mapping[str, Check]) -> web.Application:
    """The application."""
    app = application()
    add_health(app, checks)
    return app
