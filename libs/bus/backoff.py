"""How long to wait before the same work is tried again. Pure but for the dice."""

import random
from collections.abc import Callable

FIRST_SECONDS = 0.2
LONGEST_SECONDS = 10.0


def delay(attempt: int, *, dice: Callable[[], float] = random.random) -> float:
    """Seconds before try `attempt` + 1 (0 is the first failure): 0.2 s doubling to 10 s, jittered down by up to half.

    Jitter spreads consumers that were stopped by the same outage; the lower half is never used, because a wait near
    zero would make a hot loop.
    """
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(attempt, 10))
    return longest * (0.5 + dice() / 2)
