"""What a subscription can say about itself, for readiness and metrics."""

from collections.abc import Sequence
from dataclasses import dataclass

# Kafka answers a fetch at least twice a second; a batch is given up after a minute.
MAX_POLL_AGE = 30.0
MAX_WORK_AGE = 75.0
# A consumer without partitions is a spare one when it has waited this long.
SPARE_AFTER = 30.0


@dataclass(frozen=True, slots=True)
class SubscriptionHealth:
    """One subscription as it stands now.

    `assigned` are its partitions; `lag` is how many of their records wait or are in work (none: not known yet).
    `poll_age` is seconds since Kafka last answered it or a batch was done, `work_age` since the batch in flight began
    (none: never, nothing). `restarts` counts how often its consumer was started anew; `stopped` says why it stopped for
    good; `joined` whether it is a member of its group now.
    """

    topic: str
    assigned: Sequence[int]
    lag: int | None
    poll_age: float | None
    work_age: float | None
    restarts: int
    stopped: str | None
    joined: bool


def trouble(health: SubscriptionHealth, *, age: float) -> str | None:  # noqa: PLR0911 - a line a case
    """Why this subscription does not move, or none; `age` is how many seconds ago the process began to consume.

    Lag is no trouble: a backlog is worked off fastest by who is ready. Nor is having no partitions, but for a new one:
    there may be more replicas than partitions.
    """
    if health.stopped is not None:
        return health.stopped
    if not health.joined:
        return "it is not in its group"
    if health.work_age is not None:
        return f"a batch has been in work for {health.work_age:.0f} s" if health.work_age > MAX_WORK_AGE else None
    if not health.assigned:
        return "it has no partitions yet" if age < SPARE_AFTER else None
    if health.poll_age is None:
        return "Kafka has not answered it yet" if age < SPARE_AFTER else "Kafka has never answered it"
    if health.poll_age > MAX_POLL_AGE:
        return f"Kafka has not answered for {health.poll_age:.0f} s"
    return None
