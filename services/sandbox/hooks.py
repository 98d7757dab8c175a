"""A catcher of webhooks: whatever is posted under /hooks/ is taken and shown in the inbox as it came.

Some paths behave badly, whatever follows them; the others answer 200 at once:
/hooks/fail/<n> answers 500 to the first n attempts of each webhook, /hooks/throttle 429 to the first, /hooks/gone 410,
/hooks/redirect 302 to /hooks/redirected, and /hooks/slow takes the webhook and answers later than anybody waits.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from aiohttp import web

from libs.web import read_body
from libs.wire import JsonValue, json_bytes
from services.sandbox.repository import Arrival, Inbox
from services.sandbox.turns import NO_ANSWER_FOR, REMEMBERED

MAX_BODY = 1024 * 1024
MOST_FAILURES = 100
ID_HEADER = "webhook-id"


class Hooks:
    """POST and PUT /hooks/<anything>."""

    def __init__(self, inbox: Inbox, now: Callable[[], datetime], *, slow_after: float = NO_ANSWER_FOR) -> None:
        self._inbox = inbox
        self._now = now
        self._slow_after = slow_after
        self._attempts: dict[tuple[str, str], int] = {}
        self._stopping = asyncio.Event()

    def add_to(self, app: web.Application) -> None:
        """Register."""
        for method in ("POST", "PUT"):
            app.router.add_route(method, "/hooks/{path:.*}", self.catch)
        app.on_shutdown.append(self._stop)

    async def catch(self, request: web.Request) -> web.Response:
        """Take it, unless the path says otherwise. What is refused is not shown."""
        body = await read_body(request, limit=MAX_BODY)
        name, _, rest = request.match_info["path"].partition("/")
        refused = self._refusal(name, rest, request)
        if refused is not None:
            return refused
        self._inbox.catch(_arrival(request, body), self._now())
        if name == "slow":
            with suppress(TimeoutError):
                async with asyncio.timeout(self._slow_after):
                    await self._stopping.wait()
        return web.Response(text="OK")

    def _refusal(self, name: str, rest: str, request: web.Request) -> web.Response | None:
        match name:
            case "fail" if self._attempt(request) < _number(rest):
                return web.Response(status=500)
            case "throttle" if self._attempt(request) < 1:
                return web.Response(status=429, headers={"Retry-After": "1"})
            case "gone":
                return web.Response(status=410)
            case "redirect":
                return web.Response(status=302, headers={"Location": "/hooks/redirected"})
            case _:
                return None

    def _attempt(self, request: web.Request) -> int:
        """How often this webhook came to this path before."""
        key = (request.path, request.headers.get(ID_HEADER, ""))
        earlier = self._attempts.get(key, 0)
        self._attempts[key] = earlier + 1
        if len(self._attempts) > REMEMBERED:
            del self._attempts[next(iter(self._attempts))]
        return earlier

    async def _stop(self, app: web.Application) -> None:
        self._stopping.set()


def _number(text: str) -> int:
    """The number a path begins with, 1 where it has none."""
    digits = text.partition("/")[0]
    return min(int(digits), MOST_FAILURES) if digits.isascii() and digits.isdecimal() and len(digits) < 10 else 1


def _arrival(request: web.Request, body: bytes) -> Arrival:
    headers: dict[str, JsonValue] = {name.lower(): value for name, value in request.headers.items()}
    return Arrival(
        "webhook",
        f"{request.scheme}://{request.host}{request.raw_path}",
        request.headers.get("User-Agent", ""),
        body.decode("utf-8", "replace"),
        _key(request.headers.get(ID_HEADER, "")),
        headers=headers,
        data=_data(body),
    )


def _key(webhook_id: str) -> bytes:
    """The sender's key; of one that is not ours a hash, so that it can be told from others."""
    try:
        return bytes.fromhex(webhook_id)
    except ValueError:
        return hashlib.sha256(webhook_id.encode()).digest()[:16]


def _data(body: bytes) -> JsonValue:
    """The body where it is JSON that can be shown again."""
    try:
        value: JsonValue = json.loads(body)
        json_bytes(value)
    except (ValueError, RecursionError):
        return None
    return value
