"""A block holds what its deliveries would hold one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.ids import delivery_id, new_notification_id
from services.tracker.blocks import BLOCK_SIZE, MAX_GENERATION, STATE_COUNT, Block, BlockKey, delivery_at, fold, locate
from services.tracker.lifecycle import CODES, STATES, Fact, settle
from tests.services.tracker.making import NOON

facts = st.builds(
    Fact,
    st.sampled_from(sorted(STATES)),
    st.integers(0, 2),
    st.integers(0, 3),
    st.integers(0, 400_000),
    st.sampled_from(("", "busy", "blocked")),
)
ranges = st.tuples(st.integers(0, 63), st.integers(1, 64)).map(lambda ends: range(ends[0], min(64, sum(ends))))
scattered = st.lists(st.integers(0, 63), min_size=1, max_size=20)
told = st.lists(st.tuples(ranges | scattered, facts), max_size=25)


@given(told)
def test_a_block_agrees_with_its_deliveries_one_by_one(story: list[tuple[list[int], Fact]]) -> None:
    notification = new_notification_id(NOON)
    key = BlockKey(locate(delivery_id(notification, 128))[0], "demo")
    block = Block()
    folded = fold({key: block}, {key: story})
    again = Block.unpack(bytes(block.states), bytes(block.details), block.packed_reasons())
    counts = dict.fromkeys(STATES, 0)
    for offset in range(BLOCK_SIZE):
        expected = settle(
            fact for offsets, fact in story for _ in range(list(offsets).count(offset)) if offset in offsets
        )
        standing = again.at(offset)
        if expected is None:
            assert standing is None
            continue
        assert standing is not None
        # The attempt is the highest of the generation, whichever fact says where the delivery stands.
        assert standing.fact._replace(attempt=0) == expected._replace(attempt=0)
        tries = [
            fact.attempt for offsets, fact in story if offset in offsets and fact.generation == expected.generation
        ]
        assert standing.attempts == max(tries)
        counts[expected.state] += 1
    assert folded.counts.get((notification, "demo"), [0] * 15)[1:] == [counts[code] for code in sorted(STATES)]


@given(told)
def test_what_was_told_before_changes_nothing(story: list[tuple[list[int], Fact]]) -> None:
    key = BlockKey(locate(new_notification_id(NOON))[0], "demo")
    # Two ends of one delivery are decided by who came first; everything else may be repeated.
    story = [(offsets, fact) for offsets, fact in story if fact.state <= CODES[STATES[7]]]
    block = Block()
    fold({key: block}, {key: story})
    block = Block.unpack(bytes(block.states), bytes(block.details), block.packed_reasons())
    again = fold({key: block}, {key: story})
    assert (again.changed, again.moves(), again.corrections) == ({}, {}, [])


def test_a_correction_is_told() -> None:
    key = BlockKey(locate(new_notification_id(NOON))[0], "demo")
    block = Block()
    fold({key: block}, {key: [(range(3), Fact(8, 0, 1, 50, "undeliverable"))]})
    folded = fold({key: block}, {key: [([1], Fact(7, 0, 0, 60, ""))]})
    assert folded.corrections == [(delivery_at(key, 1), "demo", 60)]
    resent = fold({key: block}, {key: [([0], Fact(7, 1, 1, 60, ""))]})
    assert resent.corrections == []


def test_words_nobody_needs_are_forgotten() -> None:
    block = Block()
    for at in range(1000):
        block.fold([at % 5], Fact(CODES[STATES[3]], 0, 1, at, f"reason {at}"), [0] * STATE_COUNT)
    assert len(block.reasons) <= 255
    assert [standing.fact.reason for offset in range(5) if (standing := block.at(offset))] == [
        f"reason {at}" for at in range(995, 1000)
    ]


def test_a_generation_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="generations"):
        Block().fold([0], Fact(1, MAX_GENERATION + 1, 0, 0, ""), [0] * STATE_COUNT)


@given(st.integers(0, 2**28 - 1), st.integers(0, 15))
def test_a_delivery_is_found_by_arithmetic(number: int, step: int) -> None:
    notification = new_notification_id(NOON)
    delivery = delivery_id(notification, number, step=step)
    index, offset = locate(delivery)
    key = BlockKey(index, "demo")
    assert delivery_at(key, offset) == delivery
    assert key.notification_id == notification
    assert key.block_id == delivery_id(notification, number // 64 * 64, step=step)
