"""Reading a request's body within a limit and a deadline: aiohttp has neither before the bytes arrive."""

import asyncio
from contextlib import AbstractContextManager, nullcontext

import aiohttp
from aiohttp import http_exceptions, web

from libs.web.admission import SLOT, Slot
from libs.wire import Problem

PATIENCE = 10.0  # seconds, and one more for every 64 KiB
SLOWEST_RATE = 64 * 1024

_BROKEN = (http_exceptions.HttpProcessingError, aiohttp.ClientPayloadError, web.RequestPayloadError, ConnectionError)


async def read_body(request: web.Request, *, limit: int, require_length: bool = False) -> bytes:
    """The whole body, at most `limit` bytes, read once.

    Raises Problem 413 for a larger one (at once where Content-Length says so), 411 without Content-Length where it is
    required, 408 when it takes longer than 10 s + size/64 KiB, 400 when it breaks off, 503 when too many are read.
    """
    declared = request.content_length
    if declared is None and require_length:
        raise Problem(411, "length_required", "Content-Length is required here.")
    if declared is not None and declared > limit:
        raise _too_large(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(PATIENCE + (declared or 0) / SLOWEST_RATE) as deadline:
            with _waiting(request):
                await _fill(request, body, limit, deadline if declared is None else None)
    except TimeoutError:
        raise Problem(408, "body_too_slow", "The body did not arrive in time.") from None
    except _BROKEN:
        raise Problem(400, "broken_body", "The body is malformed or incomplete.") from None
    return bytes(body)


def require_json_content_type(request: web.Request) -> None:
    """Raises Problem 415 unless the body is said to be JSON in UTF-8."""
    kind = request.content_type
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise Problem(415, "unsupported_media_type", "The body must be application/json.")
    if (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
        raise Problem(415, "unsupported_media_type", "The body must be UTF-8.")


async def _fill(request: web.Request, body: bytearray, limit: int, extend: asyncio.Timeout | None) -> None:
    slot: Slot | None = request.get(SLOT)
    started = asyncio.get_running_loop().time()
    while chunk := await request.content.readany():
        if len(body) + len(chunk) > limit:
            raise _too_large(limit)
        if slot is not None:
            slot.hold(len(chunk))
        body += chunk
        if extend is not None:
            extend.reschedule(started + PATIENCE + len(body) / SLOWEST_RATE)


def _waiting(request: web.Request) -> AbstractContextManager[None]:
    slot: Slot | None = request.get(SLOT)
    if slot is None or request.content.at_eof() or request.content.is_eof():
        return nullcontext()
    return slot.waiting()


def _too_large(limit: int) -> Problem:
    return Problem(413, "too_large", f"The body is larger than {limit} bytes.")
