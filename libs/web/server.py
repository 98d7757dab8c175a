"""A listening application."""

import logging

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from libs.contracts.failures import Unavailable


class _OwnFailures(logging.Filter):
    """Drops aiohttp's report of a request that is no HTTP: the caller has the answer, and it repeats what was sent."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


logger = logging.getLogger(__name__)
logger.addFilter(_OwnFailures())

KEEPALIVE_TIMEOUT = 15.0  # also the end of an idle or half-sent head
LINGERING_TIME = 2.0  # how long an unwanted body is read away before the connection closes
STOP_TIMEOUT = 8.0  # for requests in progress
BACKLOG = 1024


class Server:
    """`app` on `host`:`port`; port 0 is any free one, which `port` names after the start."""

    def __init__(self, app: web.Application, host: str, port: int, *, max_line_size: int = 16_384) -> None:
        self.host = host
        self.port = port
        # No access log: query strings carry tokens. Handlers are not cancelled when a caller goes: an accept half way
        # must come to its end.
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=logger,
            handle_signals=False,
            handler_cancellation=False,
            auto_decompress=False,
            keepalive_timeout=KEEPALIVE_TIMEOUT,
            lingering_time=LINGERING_TIME,
            shutdown_timeout=STOP_TIMEOUT,
            max_line_size=max_line_size,
            max_field_size=max_line_size,
        )

    async def start(self) -> None:
        """Listen. Raises Unavailable when the port cannot be had (its last owner may still be stopping)."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.host, self.port, backlog=BACKLOG).start()
        except OSError as error:
            await self._runner.cleanup()
            raise Unavailable(f"cannot listen on {self.host}:{self.port}: {error.strerror}") from error
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening, let requests in progress finish for a few seconds."""
        await self._runner.cleanup()
