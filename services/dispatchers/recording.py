"""Records finished windows, then reports them: both in batches of what gathered while the last one was written."""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from libs.contracts.failures import Unavailable
from libs.storage import Connection, Database
from libs.telemetry import metrics
from services.dispatchers.holdings import Holdings
from services.dispatchers.repository import RecordRepository
from services.dispatchers.results import Result, result_of, slipped
from services.dispatchers.windows import Window

logger = logging.getLogger(__name__)

WINDOWS_AT_ONCE = 64
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0  # seconds


class Recorder:
    """Results on their way into the database. `held_for` says in how many seconds what is left of a window may be sent,
    `recorded` gets what is to be reported, `freed` is called when there is room for further claims."""

    def __init__(
        self,
        database: Database,
        repository: RecordRepository,
        holdings: Holdings,
        *,
        held_for: Callable[[Window], float],
        now: Callable[[], datetime],
        recorded: Callable[[Sequence[Result]], None],
        freed: Callable[[], None],
    ) -> None:
        self._database = database
        self._repository = repository
        self._holdings = holdings
        self._held_for = held_for
        self._now = now
        self._recorded = recorded
        self._freed = freed
        self._finished: list[Window] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def finished(self, window: Window) -> None:
        """Take a window all of whose deliveries have an outcome."""
        self._finished.append(window)
        self._idle.clear()
        self._wake.set()

    async def run(self) -> None:
        """Record until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._finished:
                batch, self._finished = self._finished[:WINDOWS_AT_ONCE], self._finished[WINDOWS_AT_ONCE:]
                await self._record(batch)
            self._idle.set()

    async def flush(self, within: float) -> None:
        """Wait until all that finished is recorded, at most `within` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._idle.wait()

    async def _record(self, windows: Sequence[Window]) -> None:
        results = [self._result(window) for window in windows]
        ours = await self._write(results)
        for window in windows:
            self._holdings.released(window)
        self._freed()
        if lost := [str(window.claim_id) for window in windows if window.claim_id not in ours]:
            metrics.DISPATCH_CLAIMS_LOST.inc(len(lost))
            logger.warning("leases were lost", extra={"claims": lost})
        kept = [result for result in results if result.window.claim_id in ours]
        self._recorded([_told(result, ours[result.window.claim_id]) for result in kept])

    def _result(self, window: Window) -> Result:
        return result_of(
            window,
            finished_at=self._now(),
            now=self._holdings.clock(),
            held_for=self._held_for(window),
            random=random.random,
        )

    def _session(self, results: Sequence[Result]) -> AbstractAsyncContextManager[Connection]:
        """Mostly it is one statement, which is a transaction of its own: two round trips fewer."""
        if any(result.exceptions or result.window.earlier or result.window.cost for result in results):
            return self._database.transaction()
        return self._database.connection()

    async def _write(self, results: Sequence[Result]) -> Mapping[UUID, bool]:
        """Until the database takes it: the leases bound how long it matters."""
        pause = FIRST_PAUSE
        while True:
            try:
                async with self._session(results) as connection:
                    return await self._repository.record(connection, results)
            except Unavailable as error:
                logger.warning("cannot record", extra={"reason": str(error), "windows": len(results)})
            await asyncio.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 - spreads load, guards nothing
            pause = min(pause * 2, LONGEST_PAUSE)


def _told(result: Result, has_slipped: bool) -> Result:
    return replace(result, event=slipped(result.event)) if has_slipped and result.event else result
