"""When to look again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.timing import LONGEST_BACKOFF, Outlook, backoff, is_missed, pause_before_next

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)

LOOKS: dict[str, tuple[datetime | None, datetime | None, float]] = {
    "nothing waits": (None, None, 1.0),
    "far away": (NOW + 3600 * SECOND, None, 1.0),
    "soon": (NOW + SECOND / 4, None, 0.25),
    "now": (NOW, None, 0.0),
    "overdue": (NOW - 3600 * SECOND, None, 0.0),
    "a claim just made": (None, NOW, 1.0),
    "a claim about to run out": (None, NOW - 14.5 * SECOND, 0.5),
    "a claim that ran out": (None, NOW - 60 * SECOND, 0.0),
    "whichever is first": (NOW + SECOND / 2, NOW - 14.75 * SECOND, 0.25),
}


@pytest.mark.parametrize(("due", "claim", "expected"), LOOKS.values(), ids=LOOKS)
def test_the_pause_ends_when_something_may_be_due(
    due: datetime | None, claim: datetime | None, expected: float
) -> None:
    assert pause_before_next(Outlook(NOW, due, claim), lease=15 * SECOND, longest=SECOND) == expected


@pytest.mark.parametrize(
    ("due", "expected"),
    [
        (None, False),
        (NOW + SECOND, False),
        (NOW - 59 * SECOND, False),
        (NOW - 60 * SECOND, True),
        (NOW - 99 * SECOND, True),
    ],
)
def test_later_than_the_grace_is_missed(due: datetime | None, expected: bool) -> None:
    assert is_missed(Outlook(NOW, due, None), grace=60 * SECOND) is expected


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_a_backoff_is_bounded_both_ways(failures: int, jitter: float) -> None:
    assert 0.1 <= backoff(failures, jitter) <= LONGEST_BACKOFF


def test_a_backoff_grows() -> None:
    waits = [backoff(failures, 0.5) for failures in range(1, 10)]
    assert waits == sorted(waits)
    assert waits[0] < 0.2 < 5 < waits[-1]
