import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dispatchers.breaker import LEAST_CALLS, PROBE_AFTER, WINDOW, Breaker


def broken(at: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(LEAST_CALLS):
        breaker.failed(at, at)
    return breaker


@pytest.mark.parametrize(
    ("failures", "successes", "is_open"),
    [(9, 0, False), (10, 0, True), (5, 5, True), (4, 6, False), (49, 51, False), (51, 49, True)],
)
def test_it_opens_at_half_of_ten_calls(failures: int, successes: int, is_open: bool) -> None:
    breaker = Breaker()
    for _ in range(successes):
        breaker.succeeded(1.0, 1.0)
    for _ in range(failures):
        breaker.failed(1.0, 1.0)
    assert breaker.is_closed is not is_open
    assert breaker.remaining(1.0) == (PROBE_AFTER if is_open else 0)


def test_what_was_long_ago_does_not_count() -> None:
    breaker = Breaker()
    for _ in range(LEAST_CALLS - 1):
        breaker.failed(0.0, 0.0)
    breaker.failed(WINDOW + 1, WINDOW + 1)
    assert breaker.is_closed


def test_one_call_tries_it_and_closes_it() -> None:
    breaker = broken()
    assert not breaker.begin(PROBE_AFTER - 0.1)
    assert breaker.begin(PROBE_AFTER)
    assert not breaker.begin(PROBE_AFTER + 1)  # the probe is out
    breaker.succeeded(PROBE_AFTER + 2, PROBE_AFTER)
    assert breaker.is_closed
    assert breaker.begin(PROBE_AFTER + 2)


def test_a_probe_that_fails_opens_it_again() -> None:
    breaker = broken()
    assert breaker.begin(PROBE_AFTER)
    breaker.failed(PROBE_AFTER + 5, PROBE_AFTER)
    assert breaker.remaining(PROBE_AFTER + 5) == PROBE_AFTER
    assert not breaker.begin(PROBE_AFTER + 6)


def test_calls_that_were_on_their_way_decide_nothing() -> None:
    breaker = broken(at=10.0)
    assert breaker.begin(10 + PROBE_AFTER)
    breaker.succeeded(10 + PROBE_AFTER, 9.0)
    breaker.failed(10 + PROBE_AFTER, 9.0)
    assert breaker.is_probing


def test_a_probe_nobody_heard_of_is_given_up_and_one_that_was_not_made_leaves_its_place() -> None:
    breaker = broken()
    assert breaker.begin(PROBE_AFTER)
    assert breaker.begin(PROBE_AFTER + breaker.probe_within)
    breaker.abandoned(100.0)
    assert breaker.remaining(100.0) == 0
    assert breaker.begin(100.0)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 5)), max_size=200))
def test_it_counts_what_happened_within_its_window(calls: list[tuple[bool, float]]) -> None:
    breaker, now, told = Breaker(), 0.0, list[tuple[float, bool]]()
    for ok, pause in calls:
        now += pause
        if not breaker.is_closed:
            break
        told.append((now, ok))
        (breaker.succeeded if ok else breaker.failed)(now, now)
        recent = [good for at, good in told if int(at) > int(now) - WINDOW]
        assert breaker.is_closed is (ok or len(recent) < LEAST_CALLS or recent.count(False) * 2 < len(recent))
