"""What follows from an urgent record and nobody waits for: published together a moment later.

A single message's way is a few milliseconds long and shares its cores with everything that tells of it. So its commands
leave at once and its events follow, and the offsets follow the events: whatever is not out when the process dies is
derived again from the redelivered record.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from libs.bus.backoff import delay
from libs.bus.records import Outgoing
from libs.contracts.failures import Unavailable

log = logging.getLogger(__name__)

FOLLOW_SECONDS = 0.05
# More than that is a backlog, and whoever makes it has to wait for it.
MOST_WAITING = 2_000


class Following:
    """The events of one subscription that are still to leave, in order, and what may be done once they have left."""

    def __init__(
        self, publish: Callable[[Sequence[Outgoing]], Awaitable[None]], *, failed: Callable[[Exception], None]
    ) -> None:
        self._publish = publish
        self._failed = failed
        self._waiting: list[Outgoing] = []
        self._afterwards: list[Callable[[], None]] = []
        self._hurry = asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        self._closed = False

    async def add(self, outgoing: Sequence[Outgoing]) -> None:
        """Publish these within moments; waits only where too many wait already. Closed, it takes nothing: the records
        are not done and come again."""
        if self._closed:
            return
        self._waiting.extend(outgoing)
        self._begin()
        if len(self._waiting) > MOST_WAITING:
            await self.finish()

    def afterwards(self, done: Callable[[], None]) -> None:
        """Call `done` when everything added so far has been acknowledged: at once, where nothing waits; never, where
        something was given up."""
        if self._closed:
            return
        if self._work is None or self._work.done():
            done()
        else:
            self._afterwards.append(done)

    async def finish(self) -> None:
        """Publish what waits now and return when it is acknowledged. Waits as long as Kafka is away."""
        self._hurry.set()
        if self._work is not None:
            await asyncio.wait([self._work])

    def close(self) -> None:
        """Give up what has not left, and what comes until it is opened again: it all comes again with its records."""
        self._closed = True
        if self._work is not None:
            self._work.cancel()
        self._waiting.clear()
        self._afterwards.clear()

    def open(self) -> None:
        """A new consumer begins where the last commit was."""
        self._closed = False

    def _begin(self) -> None:
        if self._waiting and (self._work is None or self._work.done()):
            self._hurry.clear()
            self._work = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        while self._waiting or self._afterwards:
            await self._pause(FOLLOW_SECONDS)
            outgoing, self._waiting = self._waiting, []
            afterwards, self._afterwards = self._afterwards, []
            try:
                await self._published(outgoing)
            except Exception as error:  # noqa: BLE001 - nothing is committed, so the records come again
                self.close()
                self._failed(error)
                return
            for done in afterwards:
                done()

    async def _published(self, outgoing: Sequence[Outgoing]) -> None:
        failures = 0
        while outgoing:
            try:
                return await self._publish(outgoing)
            except Unavailable as error:
                cause = error.__cause__ or error
                log.warning("events wait for Kafka", extra={"events": len(outgoing), "error": type(cause).__name__})
                await asyncio.sleep(delay(failures))
                failures += 1
        return None

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            return
