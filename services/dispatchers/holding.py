"""When a route takes nothing: its carrier asked us to slow down, or our account with it is wrong."""

from dataclasses import dataclass, field
from datetime import timedelta

FIRST_HOLD = 1.0  # seconds, doubling
LONGEST_HOLD = 60.0
# A carrier may ask for more than we would give by ourselves, but not for ever.
LONGEST_RETRY_AFTER = 15 * 60.0
# A wrong key is put right by a person: one round of refused requests in half a minute finds out when.
MISCONFIGURED_HOLD = 30.0


@dataclass(slots=True)
class RouteHold:
    """One route's pause, in memory: a restart asks the carrier anew. All times are seconds on the monotonic clock."""

    until: float = 0.0
    began: float = 0.0
    length: float = field(default=0.0, repr=False)
    misconfigured: str | None = None

    def remaining(self, now: float) -> float:
        """Seconds until the route takes something again; 0 when it does."""
        return max(0.0, self.until - now)

    def throttled(self, now: float, started: float, retry_after: timedelta | None) -> None:
        """The carrier answered a request begun at `started` with "slow down"."""
        if started >= self.began:  # those already on their way when the hold began say nothing new
            self.length = min(self.length * 2, LONGEST_HOLD) if self.length else FIRST_HOLD
        asked = min(retry_after.total_seconds(), LONGEST_RETRY_AFTER) if retry_after else 0.0
        self._hold(now, max(self.length, asked))

    def refused_account(self, now: float, reason: str) -> None:
        """The carrier does not know us: nothing of this route can pass until somebody acts."""
        self.misconfigured = reason
        self._hold(now, MISCONFIGURED_HOLD)

    def passed(self, started: float) -> None:
        """A request begun at `started` went through."""
        if started >= self.began:
            self.length = 0.0
            self.misconfigured = None

    def _hold(self, now: float, seconds: float) -> None:
        if not self.remaining(now):
            self.began = now
        self.until = max(self.until, now + seconds)
