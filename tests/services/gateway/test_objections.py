"""What cannot be done any more, as a table of states and actions."""

from datetime import UTC, datetime
from typing import Any

import pytest

from libs.contracts.commands import ControlAction
from libs.contracts.ids import new_notification_id
from libs.contracts.states import NotificationState
from services.gateway.objections import objection
from services.gateway.translation import Order

P, R, C, S = ControlAction.PAUSE, ControlAction.RESUME, ControlAction.CANCEL, ControlAction.RESCHEDULE
EVERYTHING = {P, R, C, S}
ALLOWED: dict[NotificationState, set[ControlAction]] = {
    NotificationState.ACCEPTED: EVERYTHING,
    NotificationState.WAITING: EVERYTHING,
    NotificationState.HELD: EVERYTHING,
    NotificationState.PAUSED: EVERYTHING,
    NotificationState.RUNNING: {P, R, C},
    NotificationState.CANCELLED: {C},
    NotificationState.DONE: set(),
    NotificationState.REJECTED: set(),
}


def said(action: ControlAction, found: Any) -> str | None:
    problem = objection(Order(new_notification_id(datetime.now(UTC)), action), found)
    assert problem is None or (problem.status == 409 and problem.detail and problem.extra["state"] == found["state"])
    return None if problem is None else problem.code


@pytest.mark.parametrize("action", ControlAction)
@pytest.mark.parametrize("state", NotificationState)
def test_every_state_and_action(state: NotificationState, action: ControlAction) -> None:
    code = said(action, {"state": state.value, "accepted_at": "2026-11-22T10:00:00.000Z"})
    assert (code is None) == (action in ALLOWED[state])


def test_what_the_tracker_has_not_heard_of_whole_may_still_be_waiting() -> None:
    assert said(S, {"state": "running", "accepted_at": None}) is None


@pytest.mark.parametrize("begun", [{"planned": 1}, {"suppressed": 1}, {"totals_known": True}])
def test_what_paused_half_way_has_started(begun: Any) -> None:
    document = {"state": "paused", "accepted_at": "2026-11-22T10:00:00.000Z", "planned": 0, "suppressed": 0}
    assert said(S, document) is None
    assert said(S, document | begun) == "notification_started"
    assert said(C, document | begun) is None


@pytest.mark.parametrize("found", [None, [], {}, {"state": "flying"}, "done"])
def test_an_answer_that_says_nothing_objects_to_nothing(found: Any) -> None:
    assert said(C, found) is None
