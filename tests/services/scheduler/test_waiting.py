"""What is held, and what is said of it."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from libs.contracts.ids import event_id
from libs.contracts.states import Gate
from services.scheduler.announcing import Controlled, announcement
from services.scheduler.control import Place, Standing, Start
from services.scheduler.waiting import Released, WaitingState, expansion, state_behind, waiting
from tests.services.scheduler.making import TRACEPARENT, accepted, notification

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
WALL = Start(NOON, "2026-11-23T13:00:00", "Europe/Warsaw")


def released(start: Start) -> Released:
    one = notification(at=NOON)
    return Released(
        "demo", one, start, acceptance_id=uuid4(), traceparent=None, due=NOON, released_at=NOON + timedelta(seconds=1)
    )


def test_the_start_is_the_one_that_was_accepted() -> None:
    event = accepted(notification(at=NOON, wall=WALL.wall, zone=WALL.zone))
    row = waiting(event, TRACEPARENT)
    assert row is not None
    assert (row.start, row.acceptance_id, row.traceparent) == (WALL, event.event_id, TRACEPARENT)


def test_what_went_on_at_once_is_not_held() -> None:
    assert waiting(accepted(notification(at=NOON), waits=False), None) is None


def test_a_release_says_the_start_that_held() -> None:
    row = released(WALL)
    command = expansion(row)
    assert command.notification == row.notification.model_copy(
        update={"at": WALL.at, "wall": WALL.wall, "zone": WALL.zone}
    )
    assert command.event_id == event_id(row.notification.notification_id, "expand.audience", 0)
    assert expansion(row).model_dump_json() == command.model_dump_json()


def test_a_release_without_a_change_is_the_notification() -> None:
    row = released(Start(NOON))
    assert expansion(row).notification is row.notification


@pytest.mark.parametrize(
    ("gate", "state"),
    [
        (Gate.OPEN, WaitingState.WAITING),
        (Gate.PAUSED, WaitingState.STOPPED),
        (Gate.HELD, WaitingState.STOPPED),
        (Gate.CANCELLED, WaitingState.CANCELLED),
    ],
)
def test_only_behind_an_open_gate_it_may_leave(gate: Gate, state: WaitingState) -> None:
    assert state_behind(gate) is state


def stored(standing: Standing) -> Controlled:
    return Controlled("demo", notification().notification_id, standing, uuid4(), None, NOON)


def test_an_announcement_is_the_stored_row() -> None:
    row = stored(Standing(Place.WAITING, Gate.HELD, 3, WALL, missed=True, reason="the start was missed by 2 h"))
    event = announcement(row)
    assert (event.gate, event.revision, event.waits, event.reason) == (Gate.HELD, 3, True, row.standing.reason)
    assert (event.at, event.wall, event.zone) == (WALL.at, WALL.wall, WALL.zone)
    assert (event.occurred_at, event.causation_id, event.key) == (NOON, row.cause_id, str(row.notification_id))
    assert event.event_id == event_id(row.notification_id, "notification.controlled", 3)


def test_a_start_that_was_asked_for_too_early_is_not_announced() -> None:
    event = announcement(stored(Standing(Place.UNKNOWN, Gate.PAUSED, 2, WALL)))
    assert (event.waits, event.at, event.wall, event.zone) == (False, None, None, None)
