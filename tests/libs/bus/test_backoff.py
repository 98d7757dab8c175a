import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.bus.backoff import delay


@pytest.mark.parametrize(("attempt", "longest"), [(0, 0.2), (1, 0.4), (2, 0.8), (5, 6.4), (6, 10.0), (10_000, 10.0)])
def test_it_doubles_up_to_ten_seconds(attempt: int, longest: float) -> None:
    assert delay(attempt, dice=lambda: 1.0) == longest
    assert delay(attempt, dice=lambda: 0.0) == longest / 2


@given(st.integers(0, 10_000))
def test_it_is_never_a_hot_loop(attempt: int) -> None:
    assert 0.1 <= delay(attempt) <= 10.0
