"""The loop that publishes what is in the outbox: at once when somebody wakes it, else at the next look."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from libs.bus import Outgoing
from libs.storage import Database
from services.tracker.repository import Letter, OutboxRepository

AT_ONCE = 100
# Longer than a publish may take.
LEASE = timedelta(seconds=30)


class Outbox:
    """One of any number beside each other."""

    def __init__(
        self, database: Database, publish: Callable[[Sequence[Outgoing]], Awaitable[None]], *, pause: timedelta
    ) -> None:
        self._database = database
        self._publish = publish
        self._pause = pause.total_seconds()
        self._repository = OutboxRepository()
        self._woken = asyncio.Event()
        self._taken: Sequence[Letter] = ()

    def wake(self) -> None:
        """Something was committed to the outbox."""
        self._woken.set()

    async def run(self) -> bool:
        """Publish some of what there is, or wait until there may be more. Raises Unavailable: what is taken by then is
        published first the next time, without waiting for its lease."""
        self._woken.clear()
        if not self._taken:
            async with self._database.transaction() as connection:
                self._taken = await self._repository.take(connection, limit=AT_ONCE, lease=LEASE)
        if not self._taken:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await self._woken.wait()
            return True
        await self._publish([letter.outgoing for letter in self._taken])
        async with self._database.transaction() as connection:
            await self._repository.remove(connection, self._taken)
        self._taken = ()
        return True
