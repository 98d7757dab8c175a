"""The simulated carrier's delivery reports: one heap and one timer, sent in batches until somebody takes them."""

import asyncio
import heapq
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import aiohttp

from libs.wire import JsonValue, json_bytes

logger = logging.getLogger(__name__)

REPORTS_PER_CALL = 500
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds, doubling
GIVE_UP_AFTER = 3600.0
CALLS_AT_ONCE = 8
# Reports due within this time go together: one call for hundreds instead of one for each request.
GATHER = 0.05
CALL_TIMEOUT = aiohttp.ClientTimeout(total=15, sock_connect=5)


class Told(NamedTuple):
    """What is said of one message: our id of it, and what became of it in its carrier's own word."""

    id: str
    status: str


# Makes the body of a call from what is told and the time by our clock, ISO 8601.
Form = Callable[[Sequence[Told], str], JsonValue]


@dataclass(order=True, slots=True)
class _Due:
    at: float
    number: int
    url: str = field(compare=False)
    ids: Sequence[str] = field(compare=False)
    status: str = field(compare=False)
    form: Form = field(compare=False)
    first_at: float = field(compare=False)
    pause: float = field(compare=False, default=FIRST_PAUSE)


Deliver = Callable[[str, bytes], Awaitable[bool]]


class Reports:
    """Reports that wait for their time. They live in memory only and are lost when the process is killed."""

    def __init__(self, deliver: Deliver, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._deliver = deliver
        self._clock = clock
        self._heap: list[_Due] = []
        self._numbers = itertools.count()
        self._changed = asyncio.Event()
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE)
        self._calls: set[asyncio.Task[None]] = set()
        self.waiting = 0

    def later(self, delay: float, url: str, ids: Sequence[str], status: str, form: Form) -> None:
        """Report to `url` in `delay` seconds that these messages came to `status`. One address has one `form`."""
        at = self._clock() + delay
        self.waiting += len(ids)
        self._push(_Due(at, next(self._numbers), url, ids, status, form, at))

    async def run(self) -> None:
        """Report until cancelled."""
        try:
            while True:
                await self._until_due()
                for url, due in self._take_due().items():
                    await self._slots.acquire()
                    call = asyncio.create_task(self._call(url, due))
                    self._calls.add(call)
                    call.add_done_callback(self._calls.discard)
        finally:
            for call in self._calls:
                call.cancel()

    def _push(self, due: _Due) -> None:
        heapq.heappush(self._heap, due)
        if self._heap[0] is due:
            self._changed.set()

    async def _until_due(self) -> None:
        while not self._heap or (wait := self._heap[0].at - self._clock()) > 0:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait if self._heap else None):
                    await self._changed.wait()

    def _take_due(self) -> dict[str, list[_Due]]:
        """What is due, or nearly, for each address at most one call's worth."""
        now = self._clock() + GATHER
        taken: dict[str, list[_Due]] = {}
        counts: dict[str, int] = {}
        while self._heap and self._heap[0].at <= now:
            url, size = self._heap[0].url, len(self._heap[0].ids)
            if counts.get(url, 0) + size > REPORTS_PER_CALL and url in taken:
                break
            taken.setdefault(url, []).append(heapq.heappop(self._heap))
            counts[url] = counts.get(url, 0) + size
        return taken

    async def _call(self, url: str, due: Sequence[_Due]) -> None:
        try:
            taken = await self._deliver(url, _body(due))
        finally:
            self._slots.release()
        for one in due:
            self._settle(one, taken)

    def _settle(self, due: _Due, taken: bool) -> None:
        now = self._clock()
        if not taken and now - due.first_at < GIVE_UP_AFTER:
            due.at = now + due.pause
            due.pause = min(due.pause * 2, LONGEST_PAUSE)
            self._push(due)
            return
        self.waiting -= len(due.ids)
        if not taken:
            logger.error("reports given up", extra={"reports": len(due.ids)})


def _body(due: Sequence[_Due]) -> bytes:
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    told = [Told(given, one.status) for one in due for given in one.ids]
    return json_bytes(due[0].form(told, at))


class HttpReporting:
    """Delivers over HTTP. Anything but a 2xx is "not taken"."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), timeout=CALL_TIMEOUT, trust_env=False, auto_decompress=False
        )

    async def close(self) -> None:
        """Close connections."""
        await self._session.close()

    async def deliver(self, url: str, body: bytes) -> bool:
        """Whether it was taken."""
        try:
            async with self._session.post(
                url, data=body, headers={"Content-Type": "application/json"}, allow_redirects=False
            ) as response:
                await response.content.read(1024)
                return 200 <= response.status < 300
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            logger.warning("a report was not taken", extra={"reason": type(error).__name__})
            return False
