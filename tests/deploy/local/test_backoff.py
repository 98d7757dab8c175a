"""How fast a process that dies again and again is started again."""

import pytest

from deploy.local import backoff


@pytest.mark.parametrize(
    ("deaths", "seconds"), [(1, 0.1), (2, 0.2), (3, 0.4), (7, 6.4), (8, 10.0), (9, 10.0), (100_000, 10.0)]
)
def test_delay(deaths: int, seconds: float) -> None:
    assert backoff.delay(deaths) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("before", "lifetime", "after"),
    [
        pytest.param(0, 0.1, 1, id="the first"),
        pytest.param(4, 0.1, 5, id="again at once"),
        pytest.param(4, backoff.STEADY, 1, id="it had been all right"),
    ],
)
def test_deaths_in_a_row(before: int, lifetime: float, after: int) -> None:
    assert backoff.deaths_in_a_row(before, lifetime) == after
