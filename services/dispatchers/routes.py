"""Where carriers report: POST /receipts/{route}/{secret}."""

import logging
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime

from aiohttp import web
from pydantic import SecretStr

from libs.bus import Outgoing
from libs.contracts.topics import RECEIPT_RECEIVED
from libs.telemetry import metrics
from libs.web import read_body
from libs.wire import HttpRequest, Problem
from services.dispatchers.callbacks import receipts
from services.dispatchers.provider import Reports
from services.dispatchers.reporting import Publisher
from services.dispatchers.route import Callbacks

logger = logging.getLogger(__name__)

MAX_CALLBACK = 512 * 1024


class ReceiptRoutes:
    """Answers 200 only after Kafka acknowledged: whoever gets anything else repeats the callback."""

    def __init__(
        self, callbacks: Mapping[str, Callbacks], secret: SecretStr, bus: Publisher, now: Callable[[], datetime]
    ) -> None:
        self._callbacks = callbacks
        self._secret = secret.get_secret_value().encode()
        self._bus = bus
        self._now = now

    def add_to(self, app: web.Application) -> None:
        """Register."""
        app.router.add_post("/receipts/{route}/{secret}", self.post_receipts)

    async def post_receipts(self, request: web.Request) -> web.Response:
        """Publish what the callback says. Unavailable becomes 503 with Retry-After."""
        name = request.match_info["route"]
        callbacks = self._callbacks.get(name)
        is_known = secrets.compare_digest(request.match_info["secret"].encode(), self._secret)
        if callbacks is None or not is_known:
            raise Problem(404, "not_found", "There is nothing here.")
        body = await read_body(request, limit=MAX_CALLBACK)
        reports = _read(name, callbacks, HttpRequest("POST", headers=request.headers, body=body))
        if reports.understood:
            events = receipts(name, body, reports.understood, self._now())
            await self._bus.publish([Outgoing(RECEIPT_RECEIVED, event) for event in events])
        metrics.DISPATCH_RECEIPTS.labels(name).inc(len(reports.understood))
        return web.Response(text="OK")


def _read(route: str, callbacks: Callbacks, callback: HttpRequest) -> Reports:
    try:
        reports = callbacks.receipts(callback)
    except ValueError as error:
        raise Problem(400, "invalid_callback", f"This is no callback of {route}: {error}.") from None
    if reports.ignored:
        logger.warning("reports not understood", extra={"provider": route, "reports": reports.ignored})
    return reports
