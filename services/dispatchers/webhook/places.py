"""Places for calls at once: enough for whoever answers quickly, and no waiting room for whoever does not."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

# A call that lasts longer is a slow one.
SLOW = 1.0  # seconds
# How long a place is waited for: whoever waits has a place of the whole process meanwhile, which others could use.
PATIENCE = 1.0


class Places:
    """`limit` of them. Times are seconds on the monotonic clock."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._free = asyncio.Semaphore(limit)
        self._clock = clock
        self._began: dict[object, float] = {}

    @asynccontextmanager
    async def one(self) -> AsyncIterator[bool]:
        """Whether there is a place, for as long as the context lasts."""
        if not await self._take():
            yield False
            return
        call = object()
        self._began[call] = self._clock()
        try:
            yield True
        finally:
            del self._began[call]
            self._free.release()

    async def _take(self) -> bool:
        if self._free.locked() and self._is_stuck():
            return False
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._free.acquire()
        except TimeoutError:
            return False

    def _is_stuck(self) -> bool:
        """Whether most of the calls under way are slow: then no place is free soon."""
        since = self._clock() - SLOW
        return 2 * sum(began < since for began in self._began.values()) > len(self._began)
