"""What speaks against an order, as far as the tracker can tell."""

from collections.abc import Mapping

from libs.contracts.commands import ControlAction
from libs.contracts.states import NotificationState
from libs.wire import JsonValue, Problem
from services.gateway.translation import Order

# Nothing that is on its way or still to come can be stopped or moved in these.
_OVER = {
    NotificationState.DONE: "It is over: nothing of it is left to send.",
    NotificationState.REJECTED: "It was rejected: nothing of it will be sent.",
    NotificationState.CANCELLED: "It is cancelled, which cannot be taken back.",
}
# What is none, zero or false until its audience was looked up.
_EXPANDED = ("planned", "suppressed", "totals_known")


def objection(order: Order, found: JsonValue) -> Problem | None:
    """Why `order` is refused for the notification that the tracker describes as `found`; none: it may be given.

    The tracker may be some moments behind. The scheduler decides on its own books what the order changes; this is so
    that a caller hears at once of what cannot do anything any more.
    """
    if not isinstance(found, Mapping):
        return None
    state = found.get("state")
    if state == NotificationState.CANCELLED and order.action is ControlAction.CANCEL:
        return None  # once more does no harm
    for over, sentence in _OVER.items():
        if state == over:
            return Problem(409, f"notification_{over}", sentence, extra={"state": over.value})
    if order.action is ControlAction.RESCHEDULE and _has_started(found):
        return Problem(
            409, "notification_started", "It has started: only what waits has a start.", extra={"state": state}
        )
    return None


def _has_started(found: Mapping[str, JsonValue]) -> bool:
    """Also what is paused may have. Before its acceptance is known, one that waits looks like one that runs."""
    if found.get("accepted_at") is None:
        return False
    return found.get("state") == NotificationState.RUNNING or any(map(found.get, _EXPANDED))
