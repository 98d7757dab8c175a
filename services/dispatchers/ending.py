"""Ends what is not to be sent any more, without a route: cancelled, expired while it waited, or not to be paid for."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from libs.contracts.failures import Unavailable
from libs.storage import Database
from services.dispatchers.repository import Ending, EndingRepository, GateRepository, chunk_from
from services.dispatchers.results import Result, result_of
from services.dispatchers.windows import Window

logger = logging.getLogger(__name__)

POLL = 1.0  # seconds
# Eight chunks of 500 are some 20 ms of this process, in which nothing else runs.
CHUNKS_AT_ONCE = 8
ITEMS_AT_ONCE = 1_000
EVER = timedelta(days=10_000)


class Ender:
    """One channel's endings. `recorded` gets what is to be reported; `wake` brings the next look forward."""

    def __init__(
        self,
        database: Database,
        endings: EndingRepository,
        gates: GateRepository,
        *,
        now: Callable[[], datetime],
        recorded: Callable[[Sequence[Result]], None],
    ) -> None:
        self._database = database
        self._endings = endings
        self._gates = gates
        self._now = now
        self._recorded = recorded
        self.wake = asyncio.Event()

    async def start(self) -> None:
        """Let all that waits know its gate, whatever happened while nobody was there. Raises Unavailable."""
        await self._flag(EVER)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await self.wake.wait()
            self.wake.clear()
            try:
                await self.look()
            except Unavailable as error:
                logger.warning("endings put off", extra={"reason": str(error)})
                await asyncio.sleep(POLL)

    async def look(self) -> None:
        """End all there is to end. Raises Unavailable."""
        await self._flag()
        has_more = await self._is_anything_over()
        while has_more:
            has_more = await self._end()

    async def _flag(self, *since: timedelta) -> None:
        more = True
        while more:
            async with self._database.connection() as connection:
                more = await self._gates.flag(connection, *since)

    async def _is_anything_over(self) -> bool:
        async with self._database.connection() as connection:
            return await self._endings.is_any(connection)

    async def _end(self) -> bool:
        async with self._database.transaction() as connection:
            taken = await self._endings.take(connection, chunks=CHUNKS_AT_ONCE, items=ITEMS_AT_ONCE)
            results = [self._result(ending) for ending in taken]
            if results:
                await self._endings.record(connection, results)
        self._recorded(results)
        return bool(results)

    def _result(self, ending: Ending) -> Result:
        window = Window(
            claim_id=ending.claim_id,
            chunk=chunk_from(ending.body),
            ordinals=ending.ordinals,
            submit_until=0.0,
            expires=0.0,
            traceparent=ending.traceparent,
            earlier=dict(zip(ending.ordinals, ending.earlier, strict=False)),
        )
        window.settle(0, [ending.verdict] * len(ending.ordinals))
        return result_of(window, finished_at=self._now(), now=0.0, held_for=0.0, random=random.random)
