"""Liveness, readiness and metrics."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from libs.contracts.failures import Unavailable
from libs.wire import JSON_CONTENT_TYPE, JsonValue, json_bytes

logger = logging.getLogger(__name__)

Check: TypeAlias = Callable[[], Awaitable[None]]

CHECK_TIMEOUT = 3.0


def add_health(app: web.Application, checks: Mapping[str, Check]) -> None:
    """GET /health/live, /health/ready (503 names what fails and why), /metrics. A check fails by raising;
    Unavailable's text is shown, of anything else only its class."""
    health = _Health(checks)
    app.router.add_get("/health/live", _live)
    app.router.add_get("/health/ready", health.ready)
    app.router.add_get("/metrics", _metrics)


class _Health:
    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._running: asyncio.Task[dict[str, JsonValue]] | None = None

    async def ready(self, request: web.Request) -> web.Response:
        # Whoever asks while checks are running gets their answer: asking often costs the database nothing.
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._failing())
        failing = await asyncio.shield(self._running)
        if failing:
            return _json(503, {"status": "not ready", "failing": failing})
        return _json(200, {"status": "ready"})

    async def _failing(self) -> dict[str, JsonValue]:
        reasons = await asyncio.gather(*(_reason(check) for check in self._checks.values()))
        return {name: reason for name, reason in zip(self._checks, reasons, strict=True) if reason is not None}


async def _reason(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            await check()
    except TimeoutError:
        return "no answer in time"
    except Unavailable as error:
        return str(error)
    except Exception as error:
        logger.exception("a health check failed")
        return type(error).__name__
    return None


async def _live(request: web.Request) -> web.Response:
    return _json(200, {"status": "live"})


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _json(status: int, value: JsonValue) -> web.Response:
    return web.Response(status=status, body=json_bytes(value), headers={"Content-Type": JSON_CONTENT_TYPE})
