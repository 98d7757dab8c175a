"""Group commit without a timer: what gathers while one round trip runs goes with the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from libs.contracts.failures import Unavailable

T = TypeVar("T")
R = TypeVar("R")

MOST_AT_ONCE = 500


class Gathering(Generic[T, R]):
    """One round trip at a time, for everybody who waits for one. `work` gives a result for each item, in order."""

    def __init__(self, work: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, most: int = MOST_AT_ONCE) -> None:
        self._work = work
        self._most = most
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._running: asyncio.Task[None] | None = None

    async def submit(self, item: T, *, within: float, keep: bool = False) -> R:
        """The result for `item`. Raises what `work` raised, and Unavailable after `within` seconds. What nobody waits
        for any more is left out of the next round trip, unless it is to be kept."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        # Nobody may be left to look at an error when it comes.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._waiting.append((item, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(within):
                return await (asyncio.shield(future) if keep else future)
        except TimeoutError as error:
            raise Unavailable("no answer in time") from error

    async def stop(self) -> None:
        """Let the round trip in progress, and what waits for the next, come to its end."""
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch = [entry for entry in self._waiting[: self._most] if not entry[1].done()]
                del self._waiting[: self._most]
                if batch:
                    await self._do(batch)
        finally:
            self._running = None

    async def _do(self, batch: Sequence[tuple[T, "asyncio.Future[R]"]]) -> None:
        try:
            results = await self._work([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - everybody who waits is told
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
