"""One rate for a route, whoever sends on it: leases of tokens that belong to a moment, and who gets them.

A lease is at most LEASE worth of tokens and begins at its own instant; it may be used for half its length from then on,
never later. So a second sees what belongs to it and at most one lease more, whatever processes die or freeze.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from libs.contracts.failures import Unavailable
from libs.contracts.routing import Lane

logger = logging.getLogger(__name__)

LEASE = 0.1  # seconds worth of tokens
TRY_AGAIN = 0.5  # seconds, when nobody gives leases
LEAST_PAUSE = 0.005
# What is claimed for a rated route is what it sends in this time.
REACH = 10.0  # seconds
ANSWERS_KEPT = 16

LANES = (Lane.URGENT, Lane.BULK)


class Grant(NamedTuple):
    """An answer to "may we have tokens?", in seconds on the giver's clock: when it was given, when the lease begins
    (none: not now), and when to ask again."""

    now: float
    begins: float | None
    ask_again: float


# For a lane, a number of tokens, and the seconds they are worth. Raises Unavailable.
Ask = Callable[[Lane, int], Awaitable[Grant]]


def lease_size(rate: float) -> int:
    """The most tokens in a lease, and so the most messages in a request."""
    return max(1, int(rate * LEASE))


@dataclass(slots=True)
class FarClock:
    """Where another machine's clock stands on ours. An answer that says `now` was written between `asked` and
    `answered`; several answers together say it more exactly than one."""

    _answers: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=ANSWERS_KEPT))
    least: float = 0.0  # ours less theirs
    most: float = 0.0

    def heard(self, asked: float, answered: float, now: float) -> None:
        """Take an answer into account. One that contradicts the others means that a clock was set: they are dropped."""
        if self._answers and not (asked - now <= self.most and self.least <= answered - now):
            self._answers.clear()
        self._answers.append((asked - now, answered - now))
        self.least = max(least for least, _ in self._answers)
        self.most = min(most for _, most in self._answers)

    def not_before(self, instant: float) -> float:
        """A time of ours at which theirs has surely reached `instant`."""
        return instant + self.most

    def not_after(self, instant: float) -> float:
        """A time of ours at which theirs has surely not passed `instant`."""
        return instant + self.least


@dataclass(slots=True, eq=False)
class _Waiter:
    count: int
    allowed: asyncio.Future[bool]


class Pacer:
    """One route's tokens in this process. `ask` gives leases; without it nothing may be sent."""

    def __init__(self, rate: float, ask: Ask, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self.lease = lease_size(rate)
        self._ask = ask
        self._clock = clock
        self._far = FarClock()
        self._waiting: dict[Lane, deque[_Waiter]] = {lane: deque() for lane in LANES}
        self._wanted = {lane: asyncio.Event() for lane in LANES}
        self._closed = False

    async def take(self, lane: Lane, count: int, until: float) -> bool:
        """Wait until `count` messages, at most `lease`, may be sent now. False when `until` came first, or `close`."""
        if self._closed:
            return False
        waiter = _Waiter(count, asyncio.get_running_loop().create_future())
        self._waiting[lane].append(waiter)
        self._wanted[lane].set()
        try:
            async with asyncio.timeout(until - self._clock()):
                return await waiter.allowed
        except TimeoutError:
            return False
        finally:
            with suppress(ValueError):
                self._waiting[lane].remove(waiter)

    def close(self) -> None:
        """Let nobody wait any longer, and send nothing more."""
        self._closed = True
        for queue in self._waiting.values():
            for waiter in queue:
                if not waiter.allowed.done():
                    waiter.allowed.set_result(False)

    async def run(self) -> None:
        """Fetch leases for those who wait, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for lane in LANES:
                group.create_task(self._fetch(lane))

    async def _fetch(self, lane: Lane) -> None:
        while True:
            await self._wanted[lane].wait()
            if not (wanted := self._demand(lane)):
                self._wanted[lane].clear()
                continue
            try:
                await self._lease(lane, wanted)
            except Unavailable as error:
                logger.warning("no leases", extra={"reason": str(error)})
                await asyncio.sleep(TRY_AGAIN)

    def _demand(self, lane: Lane) -> int:
        """What the first of those who wait need together, as many of them as fit into a lease."""
        wanted = 0
        for waiter in self._waiting[lane]:
            if wanted + waiter.count > self.lease:
                break
            wanted += waiter.count
        return wanted

    async def _lease(self, lane: Lane, wanted: int) -> None:
        asked = self._clock()
        grant = await self._ask(lane, wanted)
        answered = self._clock()
        self._far.heard(asked, answered, grant.now)
        if grant.begins is None:
            # Others hear the same: whoever asks first then is left to chance.
            pause = max(LEAST_PAUSE, grant.ask_again - grant.now)
            await asyncio.sleep(pause + LEAST_PAUSE * random.random())  # noqa: S311 - spreads load, guards nothing
            return
        begins = self._far.not_before(grant.begins)
        await self._sleep_until(begins)
        if self._clock() <= self._far.not_after(grant.begins + wanted / self.rate / 2):
            self._hand_out(wanted)

    async def _sleep_until(self, instant: float) -> None:
        while (early := instant - self._clock()) > 0:  # noqa: ASYNC110 - a timer may come a moment early
            await asyncio.sleep(early)

    def _hand_out(self, tokens: int) -> None:
        """The urgent lane first, whoever fetched them; in a lane nobody overtakes."""
        for lane in LANES:
            queue = self._waiting[lane]
            while queue and queue[0].count <= tokens:
                waiter = queue.popleft()
                if not waiter.allowed.done():
                    waiter.allowed.set_result(True)
                    tokens -= waiter.count
