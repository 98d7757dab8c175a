"""What may be done to a notification, by tables and by a model that has no revisions."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.commands import ControlAction
from libs.contracts.states import Gate
from services.scheduler.control import Place, Refusal, Standing, Start, arrived, decide, missed

PAUSE, RESUME, CANCEL, RESCHEDULE = ControlAction
OPEN, PAUSED, HELD, CANCELLED = Gate
NOON = Start(datetime(2026, 11, 23, 12, tzinfo=UTC))
ONE = Start(datetime(2026, 11, 23, 13, tzinfo=UTC), "2026-11-23T14:00:00", "Europe/Warsaw")
HOURS = timedelta(hours=1)


def waiting(gate: Gate = OPEN, **more: object) -> Standing:
    return Standing(**{"place": Place.WAITING, "gate": gate, "revision": 4, "start": NOON, **more})  # type: ignore[arg-type]


GATES: dict[str, tuple[Gate, ControlAction, Gate, Refusal | None]] = {
    "pause": (OPEN, PAUSE, PAUSED, None),
    "pause twice": (PAUSED, PAUSE, PAUSED, None),
    "pause what is held": (HELD, PAUSE, HELD, None),
    "pause too late": (CANCELLED, PAUSE, CANCELLED, Refusal.CANCELLED),
    "resume": (PAUSED, RESUME, OPEN, None),
    "resume what goes on": (OPEN, RESUME, OPEN, None),
    "resume what is held": (HELD, RESUME, OPEN, None),
    "resume too late": (CANCELLED, RESUME, CANCELLED, Refusal.CANCELLED),
    "cancel": (OPEN, CANCEL, CANCELLED, None),
    "cancel what is paused": (PAUSED, CANCEL, CANCELLED, None),
    "cancel what is held": (HELD, CANCEL, CANCELLED, None),
    "cancel twice": (CANCELLED, CANCEL, CANCELLED, None),
}


@pytest.mark.parametrize("place", Place)
@pytest.mark.parametrize(("before", "action", "after", "refusal"), GATES.values(), ids=GATES)
def test_gates_wherever_it_is(
    place: Place, before: Gate, action: ControlAction, after: Gate, refusal: Refusal | None
) -> None:
    decision = decide(waiting(before, place=place), action)
    assert (decision.standing.gate, decision.refusal) == (after, refusal)
    assert decision.standing.revision == 4 + (before is not after)
    assert decision.standing.start == NOON


MOVES: dict[str, tuple[Standing, Gate, Start | None, int, Refusal | None]] = {
    "what waits": (waiting(), OPEN, ONE, 5, None),
    "to where it is": (waiting(start=ONE), OPEN, ONE, 4, None),
    "what is paused stays so": (waiting(PAUSED), PAUSED, ONE, 5, None),
    "what is held stays so": (waiting(HELD), HELD, ONE, 5, None),
    "what was missed": (waiting(HELD, missed=True, reason="late"), OPEN, ONE, 5, None),
    "what was missed, to where it was": (waiting(HELD, missed=True, start=ONE), OPEN, ONE, 5, None),
    "what is not here yet": (Standing(), OPEN, ONE, 1, None),
    "what has left": (Standing(Place.RELEASED, revision=2), OPEN, None, 2, Refusal.RELEASED),
    "what has left and is paused": (Standing(Place.RELEASED, PAUSED, 2), PAUSED, None, 2, Refusal.RELEASED),
    "what is cancelled": (waiting(CANCELLED), CANCELLED, NOON, 4, Refusal.CANCELLED),
}


@pytest.mark.parametrize(("before", "gate", "start", "revision", "refusal"), MOVES.values(), ids=MOVES)
def test_another_start(
    before: Standing, gate: Gate, start: Start | None, revision: int, refusal: Refusal | None
) -> None:
    decision = decide(before, RESCHEDULE, ONE)
    after = decision.standing
    assert (after.gate, after.start, after.revision, decision.refusal) == (gate, start, revision, refusal)
    assert after.missed is (before.missed and after == before)


def test_a_missed_start_is_held_with_its_reason() -> None:
    held = missed(waiting(), 2 * HOURS)
    assert held == waiting(HELD, revision=5, missed=True, reason="the start was missed by 2 h")
    resumed = decide(held, RESUME).standing
    assert resumed == waiting(revision=6)


@pytest.mark.parametrize(
    ("late", "words"),
    [(61, "61 s"), (3600, "60 min"), (7199, "119 min"), (7200, "2 h"), (86_400, "24 h"), (200_000, "2 d")],
)
def test_how_late_is_said_in_words(late: int, words: str) -> None:
    assert missed(waiting(), timedelta(seconds=late)).reason == f"the start was missed by {words}"


def test_what_nobody_controlled_arrives_as_it_is() -> None:
    assert arrived(Standing(), NOON) == Standing(Place.WAITING, start=NOON)


def test_what_was_controlled_before_it_came_is_told_again_as_waiting() -> None:
    paused = decide(Standing(), PAUSE).standing
    assert arrived(paused, NOON) == Standing(Place.WAITING, PAUSED, 2, NOON)
    moved = decide(paused, RESCHEDULE, ONE).standing
    assert arrived(moved, NOON) == Standing(Place.WAITING, PAUSED, 3, ONE)


@given(st.lists(st.sampled_from([PAUSE, RESUME, CANCEL, RESCHEDULE])), st.sampled_from([Place.UNKNOWN, Place.WAITING]))
def test_any_commands(actions: list[ControlAction], place: Place) -> None:
    """Cancelled is final, a refused or idle command changes nothing, every change counts one up."""
    standing, cancelled = Standing(place, start=NOON if place is Place.WAITING else None), False
    for action in actions:
        decision = decide(standing, action, ONE if action is RESCHEDULE else None)
        changed = decision.standing != standing
        assert decision.standing.revision - standing.revision == changed
        assert decision.standing.place is place
        if cancelled:
            assert not changed
            assert (decision.refusal is None) == (action is CANCEL)
        else:
            assert decision.refusal is None
        cancelled = cancelled or action is CANCEL
        standing = decision.standing
        assert (standing.gate is CANCELLED) == cancelled
