"""A loop that works, rests until there may be more to do, and bears it when something is away."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from libs.contracts.failures import Unavailable
from services.scheduler.timing import backoff

logger = logging.getLogger(__name__)


class Turning:
    """`turn` does what there is to do and says how many seconds it may rest; Unavailable makes it come again soon."""

    def __init__(self, turn: Callable[[], Awaitable[float]], name: str) -> None:
        self._turn = turn
        self._name = name
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look again at once."""
        self._woken.set()

    async def run(self) -> None:
        """Turn for ever. Cancelled, it brings the turn it is in to its end first."""
        failures = 0
        while True:
            self._woken.clear()
            try:
                pause = await _to_the_end(self._turn())
                failures = 0
            except Unavailable as error:
                failures += 1
                pause = backoff(failures, random.random())  # noqa: S311 - no secret
                logger.warning("%s waits", self._name, extra={"reason": str(error), "retry_in_s": round(pause, 2)})
            await self._rest(pause)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return


async def _to_the_end(turn: Awaitable[float]) -> float:
    """A turn in progress is not left half done by a stop: what it has claimed would wait for its lease to end."""
    task = asyncio.ensure_future(turn)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
