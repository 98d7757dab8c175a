"""The loop that releases what is due: claim, publish, finish."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from libs.bus import Outgoing
from libs.contracts.failures import Unavailable
from libs.contracts.topics import EXPAND_AUDIENCE
from libs.storage import Database
from libs.telemetry import metrics
from services.scheduler.repository import WaitingRepository
from services.scheduler.timing import backoff, pause_before_next
from services.scheduler.waiting import Released, expansion

logger = logging.getLogger(__name__)


class Releaser:
    """One of any number beside each other: a claim is one's own until its lease ends, and what is published twice has
    the same event id."""

    def __init__(
        self,
        database: Database,
        repository: WaitingRepository,
        publish: Callable[[Sequence[Outgoing]], Awaitable[None]],
        *,
        lease: timedelta,
        longest_pause: timedelta,
        batch: int,
    ) -> None:
        self._database = database
        self._repository = repository
        self._publish = publish
        self._lease = lease
        self._longest_pause = longest_pause
        self._batch = batch
        self._woken = asyncio.Event()
        self._claimed: Sequence[Released] = ()

    def wake(self) -> None:
        """Look again at once."""
        self._woken.set()

    async def run(self) -> None:
        """Release for ever. Cancelled, it brings what it has claimed to its end first."""
        failures = 0
        while True:
            self._woken.clear()
            try:
                pause = await _to_the_end(self.turn())
                failures = 0
            except Unavailable as error:
                failures += 1
                pause = backoff(failures, random.random())  # noqa: S311 - no secret
                logger.warning("release waits", extra={"reason": str(error), "retry_in_s": round(pause, 2)})
            await self._rest(pause)

    async def turn(self) -> float:
        """Claim what is due and publish it; the seconds until there may be more.

        Raises Unavailable. What is claimed by then is kept and published first by the next turn, without waiting for
        its lease.
        """
        if not self._claimed:
            async with self._database.transaction() as connection:
                self._claimed = await self._repository.claim(connection, limit=self._batch, lease=self._lease)
        released = len(self._claimed)
        if released:
            await self._release()
        if released >= self._batch:
            return 0.0
        async with self._database.connection() as connection:
            outlook = await self._repository.outlook(connection)
        return pause_before_next(outlook, lease=self._lease, longest=self._longest_pause)

    async def _release(self) -> None:
        claimed = self._claimed
        await self._publish(
            [
                Outgoing(EXPAND_AUDIENCE[one.notification.lane], expansion(one), traceparent=one.traceparent)
                for one in claimed
            ]
        )
        async with self._database.transaction() as connection:
            await self._repository.finish(connection, claimed)
        self._claimed = ()
        metrics.SCHEDULER_RELEASED.inc(len(claimed))
        metrics.SCHEDULER_LATENESS.observe(max((one.released_at - one.at).total_seconds() for one in claimed))

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return


async def _to_the_end(turn: Awaitable[float]) -> float:
    """A turn in progress is not left half done by a stop: its rows would wait for their lease to end."""
    task = asyncio.ensure_future(turn)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
