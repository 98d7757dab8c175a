from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.outcomes import (
    Accepted,
    Ambiguous,
    Misconfigured,
    Outcome,
    OutOfFunds,
    Permanent,
    Throttled,
    Transient,
)
from libs.contracts.routing import MessageClass
from libs.contracts.states import DeliveryState as State
from services.dispatchers.retrying import (
    JITTER,
    LIFETIMES,
    SCHEDULES,
    ItemState,
    Standing,
    Unsent,
    Waiting,
    next_state,
)

DAY = 86_400.0
OTP = MessageClass.OTP


def before(
    attempts: int = 0,
    *,
    maybe_sent: bool = False,
    expires_in: float = DAY,
    held_for: float = 0.0,
    parks: bool = False,
) -> Standing:
    return Standing(OTP, expires_in, attempts, maybe_sent, held_for, parks)


@pytest.mark.parametrize(
    ("outcome", "standing", "report", "attempts", "waiting"),
    [
        (Accepted("x"), before(), State.SENT, 1, None),
        (Accepted("x"), before(2, maybe_sent=True), State.SENT, 3, None),
        (Permanent("bad"), before(), State.CARRIER_REJECTED, 1, None),
        (Transient("busy"), before(), State.RETRYING, 1, Waiting(ItemState.RETRY, 0.5)),
        (Transient("busy"), before(3), State.RETRYING, 4, Waiting(ItemState.RETRY, 7.5)),
        (Transient("busy"), before(4), State.FAILED, 5, None),
        (Transient("busy"), before(4, maybe_sent=True), State.UNKNOWN, 5, None),
        (Transient("busy"), before(3, expires_in=7.5), State.EXPIRED, 4, None),
        (Transient("busy"), before(held_for=9.0), State.RETRYING, 1, Waiting(ItemState.RETRY, 9.0)),
        (Ambiguous("?"), before(), State.RETRYING, 1, Waiting(ItemState.AMBIGUOUS, 0.5)),
        (Ambiguous("?"), before(4), State.UNKNOWN, 5, None),
        (Ambiguous("?"), before(3, expires_in=1), State.UNKNOWN, 4, None),
        (Throttled("slow"), before(2, held_for=8), None, 2, Waiting(ItemState.DEFERRED, 9.0)),
        (Throttled("slow"), before(held_for=8, expires_in=9), State.EXPIRED, 0, None),
        (Throttled("slow", timedelta(seconds=40)), before(held_for=8), None, 0, Waiting(ItemState.DEFERRED, 45.0)),
        (Throttled("slow", timedelta(days=9)), before(), None, 0, Waiting(ItemState.DEFERRED, 900 * 1.125)),
        (Misconfigured("401"), before(held_for=8), None, 0, Waiting(ItemState.DEFERRED, 9.0)),
        (Unsent.DEFERRED, before(1), None, 1, Waiting(ItemState.DEFERRED, 0.0)),
        (Unsent.EXPIRED, before(), State.EXPIRED, 0, None),
        (Unsent.EXPIRED, before(1, maybe_sent=True), State.UNKNOWN, 1, None),
        (Unsent.CANCELLED, before(), State.CANCELLED, 0, None),
        (Unsent.CANCELLED, before(2), State.CANCELLED, 2, None),
        (Unsent.CANCELLED, before(1, maybe_sent=True), State.UNKNOWN, 1, None),
        (Unsent.NO_FUNDS, before(), State.NO_FUNDS, 0, None),
        (Unsent.NO_FUNDS, before(1, maybe_sent=True), State.UNKNOWN, 1, None),
        (Unsent.PARKED, before(1, maybe_sent=True), State.UNKNOWN, 1, None),
        (OutOfFunds("402"), before(), State.NO_FUNDS, 0, None),
        (Ambiguous("?"), before(parks=True), State.UNKNOWN, 1, None),
        (Transient("busy"), before(parks=True), State.RETRYING, 1, Waiting(ItemState.RETRY, 0.5)),
    ],
)
def test_what_follows_from_an_outcome(
    outcome: Outcome | Unsent, standing: Standing, report: State | None, attempts: int, waiting: Waiting | None
) -> None:
    after = next_state(outcome, standing, lambda: 0.5)
    assert (after.report, after.attempts, after.waiting) == (report, attempts, waiting)


OUTCOMES = st.sampled_from(
    [
        Accepted(""),
        Permanent(""),
        Transient(""),
        Ambiguous(""),
        Throttled(""),
        Misconfigured(""),
        OutOfFunds(""),
        *Unsent,
    ]
)
STANDINGS = st.builds(
    Standing,
    st.sampled_from(MessageClass),
    st.floats(-10, 1e6),
    st.integers(0, 20),
    st.booleans(),
    st.floats(0, 1000),
    st.booleans(),
)


@given(OUTCOMES, STANDINGS, st.floats(0, 0.999))
def test_a_delivery_either_waits_or_is_over_and_never_waits_past_its_expiry(
    outcome: Outcome | Unsent, standing: Standing, random: float
) -> None:
    after = next_state(outcome, standing, lambda: random)
    assert (after.waiting is None) == (after.report is not None and after.report is not State.RETRYING)
    assert after.attempts - standing.attempts in (0, 1)
    if after.waiting:
        assert standing.held_for <= after.waiting.due_in < standing.expires_in


@given(st.sampled_from(MessageClass), st.booleans())
def test_failures_come_to_an_end(message_class: MessageClass, ambiguous: bool) -> None:
    outcome: Outcome = Ambiguous("") if ambiguous else Transient("")
    attempts = 0
    while (after := next_state(outcome, Standing(message_class, DAY * 9, attempts), lambda: 0.99)).waiting:
        attempts = after.attempts
    assert after.attempts == len(SCHEDULES[message_class]) + 1


@given(st.sampled_from(MessageClass), st.integers(0, 6), st.floats(0, 0.999))
def test_a_delay_is_drawn_from_what_its_class_leaves_to_chance(
    message_class: MessageClass, attempts: int, random: float
) -> None:
    after = next_state(Transient(""), Standing(message_class, DAY * 9, attempts), lambda: random)
    if after.waiting:
        longest = SCHEDULES[message_class][attempts]
        assert longest * (1 - JITTER[message_class]) <= after.waiting.due_in <= longest
        assert after.waiting.due_in == pytest.approx(longest * (1 - JITTER[message_class] * (1 - random)))


def test_every_class_has_a_schedule_and_a_lifetime() -> None:
    assert set(SCHEDULES) == set(LIFETIMES) == set(JITTER) == set(MessageClass)


def test_a_message_outlives_its_schedule() -> None:
    for message_class, schedule in SCHEDULES.items():
        assert sum(schedule) < LIFETIMES[message_class].total_seconds()
