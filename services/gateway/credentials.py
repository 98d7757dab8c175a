"""Credentials, remembered for at most half a minute: what is revoked stops working within it."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from services.gateway.authorization import Credential, prefix_of, verify
from services.gateway.gathering import Gathering
from services.gateway.translation import Demand

# Within the three seconds that a whole call may take.
LOOKUP_SECONDS = 1.0
# A flood of made-up prefixes must neither fill the memory nor push out those that are known.
MOST_REMEMBERED = 10_000
UNKNOWN_SECONDS = 2.0

V = TypeVar("V")


class CredentialRepository(Protocol):
    """Where credentials are kept."""

    async def credentials(self, prefixes: Sequence[str]) -> Mapping[str, Credential]:
        """Those of `prefixes` that exist and are not revoked. Raises Unavailable."""
        ...


class Credentials:
    """Finds out who calls."""

    def __init__(
        self,
        repository: CredentialRepository,
        *,
        pepper: bytes,
        remember: timedelta,
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._repository = repository
        self._pepper = pepper
        self._now = now
        self._clock = clock
        self._known = _Remembered[Credential](remember.total_seconds())
        self._unknown = _Remembered[None](min(UNKNOWN_SECONDS, remember.total_seconds()))
        self._lookups = Gathering[str, Credential | None](self._look_up)

    async def verified(self, demand: Demand) -> tuple[Credential, ...]:
        """The credentials behind the tokens of `demand`. Raises Problem 401; Unavailable where they cannot be looked
        up in time."""
        started = self._clock()
        prefixes = {prefix for token in demand.tokens if (prefix := prefix_of(token))}
        missing = [prefix for prefix in prefixes if not self._holds(prefix, started)]
        if missing:
            # Counted from before the look-up: what is revoked meanwhile must not live longer for it.
            await asyncio.gather(*(self._find(prefix, started) for prefix in missing))
        found = {prefix: known for prefix in prefixes if (known := self._known.get(prefix, started)) is not None}
        return verify(demand, found, pepper=self._pepper, now=self._now())

    def _holds(self, prefix: str, now: float) -> bool:
        return self._known.holds(prefix, now) or self._unknown.holds(prefix, now)

    async def _find(self, prefix: str, started: float) -> None:
        credential = await self._lookups.submit(prefix, within=LOOKUP_SECONDS)
        if credential is None:
            self._unknown.put(prefix, None, started)
        else:
            self._known.put(prefix, credential, started)

    async def _look_up(self, prefixes: Sequence[str]) -> Sequence[Credential | None]:
        found = await self._repository.credentials(prefixes)
        return [found.get(prefix) for prefix in prefixes]


class _Remembered(Generic[V]):
    """Values by name for some seconds, the oldest forgotten first when there are too many."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._entries: OrderedDict[str, tuple[float, V]] = OrderedDict()

    def put(self, name: str, value: V, now: float) -> None:
        self._entries.pop(name, None)
        self._entries[name] = (now, value)
        while len(self._entries) > MOST_REMEMBERED:
            self._entries.popitem(last=False)

    def holds(self, name: str, now: float) -> bool:
        entry = self._entries.get(name)
        return entry is not None and now - entry[0] <= self._seconds

    def get(self, name: str, now: float) -> V | None:
        return self._entries[name][1] if self.holds(name, now) else None
