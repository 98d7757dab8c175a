"""A carrier's reports: each is told again and again until somebody takes it."""

import asyncio
import heapq
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import aiohttp

REPORTS_PER_CALL = 500
LOOK = 0.1  # seconds
AGAIN = 0.5


class Reporter:
    """`waiting` is how many were not taken yet. With `repeat` every tenth call is made twice, byte for byte."""

    def __init__(self, *, repeat: bool) -> None:
        self._repeat = repeat
        self._due: list[tuple[float, int, str, dict[str, str]]] = []
        self._number = 0
        self._calls = 0
        self._session: aiohttp.ClientSession | None = None
        self.waiting = 0

    def later(self, url: str, given: str, status: str, *, after: float = 0.0, clock: float = 0.0) -> None:
        """Report `status` of the message `given`, not before `after` seconds."""
        self._number += 1
        self.waiting += 1
        heapq.heappush(self._due, (time.monotonic() + after, self._number, url, report(given, status, clock)))

    async def now(self, url: str, reports: Sequence[dict[str, str]]) -> bool:
        """Whether they were taken, tried once."""
        assert self._session is not None
        body = json.dumps({"reports": reports}).encode()
        self._calls += 1
        try:
            for _ in range(2 if self._repeat and self._calls % 10 == 0 else 1):
                async with self._session.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
                    if not 200 <= response.status < 300:
                        return False
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
        return True

    async def run(self) -> None:
        """Report until cancelled."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as self._session:
            while True:
                by_url: dict[str, list[Any]] = defaultdict(list)
                while self._due and self._due[0][0] <= time.monotonic():
                    entry = heapq.heappop(self._due)
                    by_url[entry[2]].append(entry)
                taken = [await self._tell(url, entries) for url, entries in by_url.items()]
                await asyncio.sleep(LOOK if all(taken) else AGAIN)

    async def _tell(self, url: str, entries: Sequence[Any]) -> bool:
        for start in range(0, len(entries), REPORTS_PER_CALL):
            part = entries[start : start + REPORTS_PER_CALL]
            if not await self.now(url, [entry[3] for entry in part]):
                for entry in entries[start:]:
                    heapq.heappush(self._due, entry)
                return False
            self.waiting -= len(part)
        return True


def report(given: str, status: str, clock: float = 0.0) -> dict[str, str]:
    """As the provider reads it."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + clock))
    return {"id": given, "status": status, "code": "000", "at": at}
