"""When to look again. All times are Postgres's, so that one clock decides."""

from dataclasses import dataclass
from datetime import datetime, timedelta

FIRST_BACKOFF = 0.2
LONGEST_BACKOFF = 10.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the table holds at `now`: the next instant, and the oldest claim not yet finished."""

    now: datetime
    next_due: datetime | None
    oldest_claim: datetime | None


def pause_before_next(outlook: Outlook, *, lease: timedelta, longest: timedelta) -> float:
    """Seconds until something is due or a claim runs out, at most `longest`: another scheduler may hold what this one
    was not told of."""
    instants = [outlook.now + longest]
    if outlook.next_due is not None:
        instants.append(outlook.next_due)
    if outlook.oldest_claim is not None:
        instants.append(outlook.oldest_claim + lease)
    return max(0.0, (min(instants) - outlook.now).total_seconds())


def is_missed(outlook: Outlook, *, grace: timedelta) -> bool:
    """Whether something is later than `grace`: whoever looks late must not act as if it were on time."""
    return outlook.next_due is not None and outlook.next_due <= outlook.now - grace


def backoff(failures: int, jitter: float) -> float:
    """Seconds to wait after the n-th failure in a row (from 1); `jitter` is in 0..1."""
    ceiling = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures - 1, 16))
    return ceiling * (0.5 + jitter / 2)
