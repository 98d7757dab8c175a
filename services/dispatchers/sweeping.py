"""What no event triggers: leases that ended, results that were not reported, rows that are no longer needed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from libs.contracts.failures import Unavailable
from libs.storage import Connection, Database
from services.dispatchers.reporting import Publisher, report
from services.dispatchers.repository import ROWS_AT_ONCE, RecordRepository, UpkeepRepository

logger = logging.getLogger(__name__)

SWEEP = 15.0  # seconds


class Sweeper:
    """One channel's upkeep. What it makes of claims is found by the next poll for exceptions that are due."""

    def __init__(
        self,
        database: Database,
        upkeep: UpkeepRepository,
        records: RecordRepository,
        bus: Publisher,
    ) -> None:
        self._database = database
        self._upkeep = upkeep
        self._records = records
        self._bus = bus

    async def start(self) -> None:
        """Settle at once what earlier lives of this replica held. Raises Unavailable."""
        await self._settle(self._upkeep.settle_earlier, "claims of an earlier life settled")

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                await self.sweep()
            except Unavailable as error:
                logger.warning("sweep put off", extra={"reason": str(error)})
            await asyncio.sleep(SWEEP)

    async def sweep(self) -> None:
        """Once. Raises Unavailable."""
        await self._settle(self._upkeep.settle_expired, "expired claims settled")
        await self._report()
        await self._forget()

    async def _settle(self, settle: Callable[[Connection], Awaitable[int]], what: str) -> None:
        settled = ROWS_AT_ONCE
        while settled == ROWS_AT_ONCE:
            async with self._database.connection() as connection:
                settled = await settle(connection)
            if settled:
                logger.warning(what, extra={"claims": settled})

    async def _report(self) -> None:
        while True:
            async with self._database.connection() as connection:
                unreported = await self._upkeep.take_unreported(connection)
            if not unreported:
                return
            await self._bus.publish([report(each.event, each.traceparent) for each in unreported])
            async with self._database.connection() as connection:
                await self._records.mark_reported(connection, [each.event.claim_id for each in unreported])

    async def _forget(self) -> None:
        more = True
        while more:
            async with self._database.connection() as connection:
                more = await self._upkeep.forget(connection)
