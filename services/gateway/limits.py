"""How many requests a caller may make: a token bucket each."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from libs.wire import Problem
from services.gateway.authorization import Credential

MOST_BUCKETS = 10_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class RequestLimit:
    """Counts the requests of each credential in this process; replicas do not know of each other's.

    A bucket holds a minute's requests and fills evenly, so a burst of a whole minute's share passes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def spend(self, credential: Credential) -> None:
        """Count one request. Raises Problem 429 when the minute's share is used up."""
        now, most = self._clock(), credential.tenant.requests_per_minute
        bucket = self._buckets.setdefault(credential.prefix, _Bucket(most, now))
        self._buckets.move_to_end(credential.prefix)
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)
        per_second = most / 60
        bucket.tokens = min(most, bucket.tokens + (now - bucket.filled_at) * per_second)
        bucket.filled_at = now
        if bucket.tokens < 1:
            wait = math.ceil((1 - bucket.tokens) / per_second)
            raise Problem(
                429,
                "too_many_requests",
                f"More than {most} requests a minute. Try again in {wait} s.",
                headers={"Retry-After": str(wait)},
            )
        bucket.tokens -= 1
