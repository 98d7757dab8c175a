"""Publishes what was recorded and marks it, and tries again while Kafka is away; a long backlog is the sweeper's."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol
from uuid import UUID

from libs.bus import Outgoing
from libs.contracts.events import DeliveryAttempted
from libs.contracts.failures import Unavailable
from libs.contracts.topics import DELIVERY_ATTEMPTED
from libs.storage import Database
from services.dispatchers.repository import RecordRepository
from services.dispatchers.results import Result

logger = logging.getLogger(__name__)

AT_ONCE = 64
# Nothing waits for the mark "reported": it is written for many claims together.
MARK_AT = 64
MARK_AFTER = 0.5  # seconds
TRY_AGAIN = 1.0  # seconds
# Some 20 KB each: what an outage adds to it stays in Postgres.
MOST_KEPT = 1_000


class Publisher(Protocol):
    """What reporting needs of the bus."""

    async def publish(self, outgoing: Sequence[Outgoing]) -> None:
        """Publish and await every acknowledgement. Raises Unavailable."""
        ...


class Reporter:
    """Results on their way to the bus."""

    def __init__(self, database: Database, repository: RecordRepository, bus: Publisher) -> None:
        self._database = database
        self._repository = repository
        self._bus = bus
        self._recorded: list[Outgoing] = []
        self._to_mark: list[UUID] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def recorded(self, results: Sequence[Result]) -> None:
        """Take results that are committed."""
        self._recorded += [report(result.event, result.window.traceparent) for result in results if result.event]
        if self._recorded:
            self._idle.clear()
            self._wake.set()

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(MARK_AFTER if self._to_mark else None):
                    await self._wake.wait()
            self._wake.clear()
            while self._recorded:
                batch, self._recorded = self._recorded[:AT_ONCE], self._recorded[AT_ONCE:]
                await self._publish(batch)
            if self._to_mark:
                await self._mark()
            self._idle.set()

    async def flush(self, within: float) -> None:
        """Wait until all that was recorded is reported, at most `within` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._idle.wait()
        await self._mark()

    async def _publish(self, batch: Sequence[Outgoing]) -> None:
        try:
            await self._bus.publish(batch)
        except Unavailable as error:
            keep = len(self._recorded) < MOST_KEPT
            what = "reports wait for Kafka" if keep else "left to the sweeper"
            logger.warning(what, extra={"reason": str(error), "claims": len(batch)})
            if keep:
                self._recorded = [*batch, *self._recorded]
                await asyncio.sleep(TRY_AGAIN)
            return
        self._to_mark += [_claim(outgoing) for outgoing in batch]

    async def _mark(self) -> None:
        """A mark that is not written costs a second report with the same ids."""
        claims, self._to_mark = self._to_mark, []
        if not claims:
            return
        try:
            async with self._database.connection() as connection:
                await self._repository.mark_reported(connection, claims)
        except Unavailable as error:
            logger.warning("cannot mark as reported", extra={"reason": str(error), "claims": len(claims)})


def report(event: DeliveryAttempted, traceparent: str | None) -> Outgoing:
    """An event on its topic, in the trace of its chunk."""
    return Outgoing(DELIVERY_ATTEMPTED, event, traceparent=traceparent)


def _claim(outgoing: Outgoing) -> UUID:
    if not isinstance(outgoing.message, DeliveryAttempted):
        raise TypeError(outgoing.message.type)
    return outgoing.message.claim_id
