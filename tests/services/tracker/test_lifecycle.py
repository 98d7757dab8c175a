"""The rank rules, each as a row; and that order and repetition do not matter where the rules say so."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.states import FINAL_DELIVERY_STATES, DeliveryState, Gate, NotificationState
from services.tracker.lifecycle import CODES, STATES, Fact, is_final, notification_state, settle, stopping, supersedes

S = DeliveryState
HOUR = 3600
DAY = 24 * HOUR


def fact(state: DeliveryState, *, generation: int = 0, attempt: int = 0, at: int = 0, reason: str = "") -> Fact:
    return Fact(CODES[state], generation, attempt, at, reason)


CLIMB = (S.QUEUED, S.SENDING, S.RETRYING, S.UNKNOWN, S.SENT, S.ON_PHONE)


@pytest.mark.parametrize(("lower", "higher"), list(itertools.pairwise((*CLIMB, S.DELIVERED))))
def test_a_higher_rank_supersedes_and_never_the_reverse(lower: S, higher: S) -> None:
    assert supersedes(fact(higher, at=0), fact(lower, at=9))
    assert not supersedes(fact(lower, at=9), fact(higher, at=0))


@pytest.mark.parametrize("final", sorted(FINAL_DELIVERY_STATES))
@pytest.mark.parametrize("before", CLIMB)
def test_every_final_state_supersedes_every_other(final: S, before: S) -> None:
    assert supersedes(fact(final), fact(before))


@pytest.mark.parametrize("first", sorted(FINAL_DELIVERY_STATES))
@pytest.mark.parametrize("second", sorted(FINAL_DELIVERY_STATES))
def test_final_states_stay_but_for_the_correction(first: S, second: S) -> None:
    if first is not second:
        assert supersedes(fact(second), fact(first)) is ((first, second) == (S.NOT_DELIVERED, S.DELIVERED))


@pytest.mark.parametrize(("after", "corrects"), [(0, True), (3 * DAY, True), (3 * DAY + 1, False), (-5, True)])
def test_a_correction_comes_within_72_hours(after: int, corrects: bool) -> None:
    assert supersedes(fact(S.DELIVERED, at=100 + after), fact(S.NOT_DELIVERED, at=100)) is corrects


def test_a_higher_generation_outranks_everything() -> None:
    assert supersedes(fact(S.QUEUED, generation=1), fact(S.DELIVERED))
    assert not supersedes(fact(S.DELIVERED), fact(S.QUEUED, generation=1))


def test_of_two_retries_the_later_tells_more_and_of_two_ends_the_earlier() -> None:
    assert settle([fact(S.RETRYING, at=9, reason="b"), fact(S.RETRYING, at=5, reason="a")]) == fact(
        S.RETRYING, at=9, reason="b"
    )
    assert settle([fact(S.DELIVERED, at=9), fact(S.DELIVERED, at=5)]) == fact(S.DELIVERED, at=5)


# Of one delivery: any steps on the way, and at most one way to end (the correction counts as one).
ENDS = (*((end,) for end in FINAL_DELIVERY_STATES), (S.NOT_DELIVERED, S.DELIVERED), ())


@st.composite
def stories(draw: st.DrawFn) -> list[Fact]:
    """Facts of one delivery over up to three generations, without an order."""
    told = []
    for generation in range(draw(st.integers(1, 3))):
        states = [*draw(st.lists(st.sampled_from(CLIMB))), *draw(st.sampled_from(ENDS))]
        for state in states:
            at, reason = draw(st.integers(0, 3 * DAY)), draw(st.sampled_from(("", "a", "b")))
            told.append(fact(state, generation=generation, at=at, reason=reason))
    return told


@given(stories(), st.randoms(use_true_random=False))
def test_any_order_with_any_repetition_ends_alike(story: list[Fact], random: object) -> None:
    shuffled = story + [one for one in story if random.random() < 0.5]  # type: ignore[attr-defined]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert settle(shuffled) == settle(story)


@given(stories())
def test_the_standing_only_rises(story: list[Fact]) -> None:
    def height(standing: Fact | None) -> tuple[int, int]:
        if standing is None:
            return (-1, 0)
        rank = CODES[S.DELIVERED] if is_final(standing.state) else standing.state
        return (standing.generation, rank)

    heights = [height(settle(story[:count])) for count in range(len(story) + 1)]
    assert heights == sorted(heights)


@given(
    st.lists(
        st.builds(Fact, st.sampled_from(sorted(STATES)), st.just(0), st.just(0), st.integers(0, 9 * DAY), st.just(""))
    )
)
def test_a_final_state_is_left_by_the_correction_alone(story: list[Fact]) -> None:
    standing: Fact | None = None
    for one in story:
        before, standing = standing, settle([standing, one] if standing else [one])
        if before and is_final(before.state) and standing and standing.state != before.state:
            assert (STATES[before.state], STATES[standing.state]) == (S.NOT_DELIVERED, S.DELIVERED)


@pytest.mark.parametrize(
    ("expected", "facts"),
    [
        (NotificationState.WAITING, {"due": False}),
        (NotificationState.RUNNING, {}),
        (NotificationState.RUNNING, {"due": False, "begun": True}),
        (NotificationState.RUNNING, {"begun": True, "unfinished": 3}),
        (NotificationState.RUNNING, {"begun": True, "totals_known": True, "unfinished": 1}),
        (NotificationState.DONE, {"begun": True, "totals_known": True}),
        (NotificationState.DONE, {"totals_known": True}),
        (NotificationState.REJECTED, {"accepted": False, "rejected": True}),
        (NotificationState.RUNNING, {"rejected": True}),
        (NotificationState.RUNNING, {"accepted": False, "begun": True}),
    ],
)
def test_where_a_notification_stands(expected: NotificationState, facts: dict[str, object]) -> None:
    usual = {"accepted": True, "rejected": False, "due": True, "totals_known": False, "unfinished": 0, "begun": False}
    assert notification_state(**{**usual, **facts}) is expected  # type: ignore[arg-type]


N = NotificationState


@pytest.mark.parametrize(
    ("expected", "facts"),
    [
        (N.PAUSED, {"gate": Gate.PAUSED}),
        (N.PAUSED, {"gate": Gate.PAUSED, "due": False}),
        (N.HELD, {"gate": Gate.HELD, "due": False}),
        (N.PAUSED, {"gate": Gate.PAUSED, "totals_known": True, "unfinished": 1, "planned": 2, "begun": True}),
        (N.DONE, {"gate": Gate.PAUSED, "totals_known": True, "planned": 2, "begun": True}),
        (N.WAITING, {"gate": Gate.OPEN, "due": False}),
        # A cancel is in force from the first moment...
        (N.CANCELLED, {"gate": Gate.CANCELLED}),
        (N.CANCELLED, {"gate": Gate.CANCELLED, "due": False}),
        (N.CANCELLED, {"gate": Gate.CANCELLED, "begun": True, "planned": 5, "unfinished": 3}),
        (N.CANCELLED, {"gate": Gate.CANCELLED, "totals_known": True}),
        (N.CANCELLED, {"gate": Gate.CANCELLED, "totals_known": True, "planned": 5, "stopped": 1, "begun": True}),
        # ...and is none when it turns out that everything had left.
        (N.DONE, {"gate": Gate.CANCELLED, "totals_known": True, "planned": 5, "begun": True}),
        (N.DONE, {"gate": Gate.CANCELLED, "totals_known": True, "planned": 5, "begun": True, "follows": True}),
        (N.REJECTED, {"gate": Gate.CANCELLED, "accepted": False, "rejected": True}),
        # What may still be tried on another channel is not done.
        (N.RUNNING, {"totals_known": True, "planned": 5, "begun": True, "follows": True}),
        (N.PAUSED, {"gate": Gate.PAUSED, "totals_known": True, "planned": 5, "begun": True, "follows": True}),
    ],
)
def test_where_it_stands_under_control(expected: NotificationState, facts: dict[str, object]) -> None:
    usual = {"accepted": True, "rejected": False, "due": True, "totals_known": False, "unfinished": 0, "begun": False}
    assert notification_state(**{**usual, **facts}) is expected  # type: ignore[arg-type]


@given(st.dictionaries(st.sampled_from(sorted(set(S) - {S.SUPPRESSED})), st.integers(0, 1000)), st.data())
def test_the_three_numbers_and_what_is_open_are_all_there_is(counts: dict[S, int], data: st.DataObject) -> None:
    planned = sum(counts.values())
    still_open = sum(counts.get(state, 0) for state in (S.QUEUED, S.SENDING, S.RETRYING))
    slipped = data.draw(st.integers(0, planned - still_open - counts.get(S.CANCELLED, 0)))
    assert sum(stopping(counts, planned=planned, slipped=slipped)) + still_open == planned
