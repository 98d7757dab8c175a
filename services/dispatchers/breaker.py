"""The circuit breaker of a route: what fails again and again is left alone for a while, then tried by one call."""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

WINDOW = 60.0  # seconds that are looked back
LEAST_CALLS = 10
FAILURE_SHARE = 0.5
PROBE_AFTER = 30.0


class Circuit(StrEnum):
    """Closed: calls pass. Open: none does. Probing: one does, and says how it goes on."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


@dataclass(slots=True)
class _Second:
    number: int
    calls: int = 0
    failures: int = 0


@dataclass(slots=True)
class Breaker:
    """One route's, in memory: a restart asks the carrier anew. Times are seconds on the monotonic clock; `probe_within`
    is how long a call may take at most: a probe that was not heard of for so long is given up."""

    probe_within: float = 30.0
    circuit: Circuit = Circuit.CLOSED
    _until: float = 0.0
    _opened: float = 0.0
    _seconds: deque[_Second] = field(default_factory=deque, repr=False)
    _calls: int = 0
    _failures: int = 0

    def remaining(self, now: float) -> float:
        """Seconds until a call may be made; 0 when one may now. While a probe is out, until it is given up."""
        return 0.0 if self.circuit is Circuit.CLOSED else max(0.0, self._until - now)

    @property
    def is_closed(self) -> bool:
        """Whether calls pass freely: any number of them."""
        return self.circuit is Circuit.CLOSED

    @property
    def is_probing(self) -> bool:
        """Whether the one call that may pass is on its way."""
        return self.circuit is Circuit.PROBING

    def begin(self, now: float) -> bool:
        """Ask to make a call. The first one after the pause is the probe, and no other passes beside it."""
        if self.circuit is Circuit.CLOSED:
            return True
        if now < self._until:
            return False
        self.circuit, self._until = Circuit.PROBING, now + self.probe_within
        return True

    def abandoned(self, now: float) -> None:
        """The call that was begun is not made after all: another one may be the probe."""
        if self.circuit is Circuit.PROBING:
            self.circuit, self._until = Circuit.OPEN, now

    def failed(self, now: float, started: float) -> None:
        """A call begun at `started` came to nothing: no connection, no answer, or word that it is broken."""
        if self.circuit is not Circuit.CLOSED:
            if started >= self._opened and self.circuit is Circuit.PROBING:
                self._open(now)
            return  # those on their way when it opened say nothing new
        self._count(now, 1)
        if self._calls >= LEAST_CALLS and self._failures >= FAILURE_SHARE * self._calls:
            self._open(now)

    def succeeded(self, now: float, started: float) -> None:
        """A call begun at `started` was answered."""
        if self.circuit is Circuit.CLOSED:
            self._count(now, 0)
        elif started >= self._opened:
            self.circuit = Circuit.CLOSED

    def _open(self, now: float) -> None:
        self.circuit, self._opened, self._until = Circuit.OPEN, now, now + PROBE_AFTER
        self._seconds.clear()
        self._calls = self._failures = 0

    def _count(self, now: float, failures: int) -> None:
        number = int(now)
        seconds = self._seconds
        while seconds and seconds[0].number <= number - WINDOW:
            past = seconds.popleft()
            self._calls -= past.calls
            self._failures -= past.failures
        if not seconds or seconds[-1].number != number:
            seconds.append(_Second(number))
        seconds[-1].calls += 1
        seconds[-1].failures += failures
        self._calls += 1
        self._failures += failures
