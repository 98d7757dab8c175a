"""Chunks, consecutive and scattered, cut at the borders of blocks."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.ids import MAX_NUMBER, MAX_STEP, delivery_id
from libs.contracts.states import DeliveryState
from services.tracker.blocks import Block, Facts, delivery_at, fold
from services.tracker.chunks import cut, planned, scattered, suppressed
from services.tracker.lifecycle import CODES
from tests.services.tracker.making import TENANT, new_id
from tests.services.tracker.making import planned as chunk
from tests.services.tracker.making import suppressed as left_out

NUMBERS = st.lists(st.integers(0, 400), min_size=1, max_size=200, unique=True)
STEPS = st.integers(0, MAX_STEP)


@given(NUMBERS, STEPS)
def test_scattered_pieces_are_the_deliveries(numbers: list[int], step: int) -> None:
    notification = new_id()
    found = {
        delivery_at(piece.key, offset): piece.of(numbers)[at]
        for piece in scattered(notification, TENANT, step=step, numbers=numbers)
        for at, offset in enumerate(piece.offsets)
    }
    assert found == {delivery_id(notification, number, step=step): number for number in numbers}


@given(st.integers(0, 400), st.integers(1, 300), STEPS)
def test_consecutive_and_scattered_say_the_same(first: int, count: int, step: int) -> None:
    notification = new_id()
    numbers = range(first, first + count)
    one = {
        (piece.key, offset): number
        for piece in cut(notification, TENANT, step=step, first_number=first, count=count)
        for offset, number in zip(piece.offsets, piece.of(numbers), strict=True)
    }
    other = {
        (piece.key, offset): number
        for piece in scattered(notification, TENANT, step=step, numbers=numbers)
        for offset, number in zip(piece.offsets, piece.of(numbers), strict=True)
    }
    assert one == other


@pytest.mark.parametrize("numbers", [[MAX_NUMBER + 1], [3, -1]])
def test_a_number_that_fits_no_id_is_refused(numbers: list[int]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        list(scattered(new_id(), TENANT, step=0, numbers=numbers))


@given(NUMBERS, st.integers(0, 3), st.integers(0, 2))
def test_blocks_know_their_step_and_recipients(numbers: list[int], step: int, other: int) -> None:
    notification = new_id()
    for piece in scattered(notification, TENANT, step=step, numbers=numbers):
        assert piece.key.step == step
        assert {piece.key.first_number + offset for offset in piece.offsets} == set(piece.of(numbers))
        there = piece.key.at_step(other)
        assert (there.step, there.first_number) == (other, piece.key.first_number)
        assert there.at_step(step) == piece.key


@given(NUMBERS, st.data())
def test_who_is_left_out_later_moves_from_planned_to_suppressed(numbers: list[int], data: st.DataObject) -> None:
    """However often the plan of a later step is told, the totals move by who is in which."""
    notification = new_id()
    out = data.draw(st.lists(st.sampled_from(numbers), unique=True))
    sent = [number for number in numbers if number not in out]
    told: list[Facts] = []
    if sent:
        told += [planned([chunk(notification, sent[0], len(sent), numbers=sent, step=1)]).later] * 2
    if out:
        rules = ["no_address"] * len(out)
        told += [suppressed([left_out(notification, out[0], rules, numbers=out, step=1)]).later] * 2
    told = data.draw(st.permutations(told))
    totals: Counter[str] = Counter()
    blocks = {key: Block() for facts in told for key in facts}
    for facts in told:
        for plan, left in fold(blocks, {}, facts).totals.values():
            totals.update(planned=plan, suppressed=left)
    assert (totals["planned"], totals["suppressed"]) == (len(sent), len(out))
    held = Counter(code for block in blocks.values() for code in block.states if code)
    assert held[CODES[DeliveryState.SUPPRESSED]] == len(out)
