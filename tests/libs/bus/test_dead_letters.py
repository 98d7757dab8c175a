from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.bus.dead_letters import Judged, Tally


def records(buried: Sequence[bool], *, first: int = 0, partition: int = 0) -> list[Judged]:
    return [Judged(("t", partition), first + number, one) for number, one in enumerate(buried)]


@pytest.mark.parametrize(
    ("buried", "stops"),
    [
        pytest.param([True] * 50, False, id="fifty in a row may be bad luck"),
        pytest.param([True] * 51, True, id="fifty-one in a row are not"),
        pytest.param(([True] * 50 + [False]) * 3, False, id="a good record begins a new row"),
        pytest.param(([False] * 18 + [True]) * 52 + [False] * 11, False, id="999 records say nothing of a share"),
        pytest.param(([False] * 18 + [True]) * 52 + [False] * 12, True, id="52 of 1000 are too many"),
        pytest.param([False] * 1000 + ([False] * 19 + [True]) * 100, False, id="50 of each 1000 are not"),
        pytest.param([False] * 5000 + ([False] * 18 + [True]) * 60, True, id="only the last thousand count"),
        pytest.param([True] * 50 + [False] * 950 + [False] * 1000, False, id="old ones are forgotten"),
    ],
)
def test_limits(buried: list[bool], stops: bool) -> None:
    _, reason = Tally().after(records(buried))
    assert (reason is not None) is stops


def test_a_redelivered_dead_letter_does_not_count_twice() -> None:
    tally = Tally()
    for _ in range(10):
        tally, reason = tally.after(records([True] * 40))
        assert reason is None
    assert tally.consecutive == 40


def test_partitions_have_offsets_of_their_own() -> None:
    tally, _ = Tally().after(records([True] * 30))
    tally, reason = tally.after(records([True] * 30, partition=1))
    assert tally.consecutive == 51
    assert reason is not None


def test_it_stops_at_the_record_that_is_one_too_many() -> None:
    tally, reason = Tally().after(records([True] * 60 + [False] * 1000))
    assert reason is not None
    assert tally.counted == {("t", 0): 50}


@given(st.lists(st.booleans(), max_size=300), st.integers(1, 50))
def test_how_records_come_in_batches_changes_nothing(buried: list[bool], size: int) -> None:
    at_once, verdict = Tally().after(records(buried))
    piecewise, reason = Tally(), None
    for start in range(0, len(buried), size):
        piecewise, reason = piecewise.after(records(buried[start : start + size], first=start))
        if reason is not None:
            break
    assert reason == verdict
    if verdict is None:
        assert piecewise == at_once
