"""Which of two facts about one delivery says where it stands: rank decides, not the order of arrival."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import NamedTuple

from libs.contracts.states import FINAL_DELIVERY_STATES, DeliveryState, Gate, NotificationState

CORRECTION_WINDOW = timedelta(hours=72)

# How a state stands in storage: a byte that never changes its meaning. 0 is a delivery nobody has spoken of yet.
ABSENT = 0
CODES: Mapping[DeliveryState, int] = {
    DeliveryState.QUEUED: 1,
    DeliveryState.SENDING: 2,
    DeliveryState.RETRYING: 3,
    DeliveryState.UNKNOWN: 4,
    DeliveryState.SENT: 5,
    DeliveryState.ON_PHONE: 6,
    DeliveryState.DELIVERED: 7,
    DeliveryState.NOT_DELIVERED: 8,
    DeliveryState.CARRIER_REJECTED: 9,
    DeliveryState.NO_FUNDS: 10,
    DeliveryState.FAILED: 11,
    DeliveryState.EXPIRED: 12,
    DeliveryState.CANCELLED: 13,
    DeliveryState.SUPPRESSED: 14,
}
STATES: Mapping[int, DeliveryState] = {code: state for state, code in CODES.items()}
# The codes up to ON_PHONE stand in the order of their rank; all finals share the highest.
FIRST_FINAL = CODES[DeliveryState.DELIVERED]
_DELIVERED = CODES[DeliveryState.DELIVERED]
_NOT_DELIVERED = CODES[DeliveryState.NOT_DELIVERED]
_CORRECTION_SECONDS = int(CORRECTION_WINDOW.total_seconds())

_HALTED = {Gate.PAUSED: NotificationState.PAUSED, Gate.HELD: NotificationState.HELD}
UNFINISHED = frozenset({DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.RETRYING, DeliveryState.UNKNOWN})


class Fact(NamedTuple):
    """What one event says about one delivery. `state` is a code, `at` seconds since 1970 on our own clocks (a carrier's
    cannot be compared); `attempt` is 0 where the event counts none, `reason` empty where there is none."""

    state: int
    generation: int
    attempt: int
    at: int
    reason: str


def is_final(state: int) -> bool:
    """Whether nothing but a correction or a resend follows the state with this code."""
    return state >= FIRST_FINAL


def is_correction(old: int, new: int) -> bool:
    """Whether the change from `old` to `new` within one generation takes back a final state."""
    return old == _NOT_DELIVERED and new == _DELIVERED


def supersedes(new: Fact, old: Fact) -> bool:
    """Whether `new` says where a delivery stands that stood at `old`.

    A higher generation outranks a lower one. Within one: queued < sending < retrying < unknown < sent < on_phone <
    finals. A final state stays, except that "delivered" corrects a "not delivered" of at most 72 hours before. Of two
    facts with one state the later tells more about what goes on (another retry), the earlier about what is over.
    """
    if new.generation != old.generation:
        return new.generation > old.generation
    if new.state == old.state:
        if new.at != old.at:
            return (new.at < old.at) is (old.state >= FIRST_FINAL)
        return new.reason > old.reason
    if old.state >= FIRST_FINAL:
        return is_correction(old.state, new.state) and new.at - old.at <= _CORRECTION_SECONDS
    return new.state > old.state


def settle(facts: Iterable[Fact]) -> Fact | None:
    """Where a delivery stands after `facts`, one after another."""
    standing: Fact | None = None
    for fact in facts:
        if standing is None or supersedes(fact, standing):
            standing = fact
    return standing


def notification_state(
    *,
    accepted: bool,
    rejected: bool,
    due: bool,
    totals_known: bool,
    unfinished: int,
    begun: bool,
    gate: Gate = Gate.OPEN,
    planned: int = 0,
    stopped: int = 0,
    follows: bool = False,
) -> NotificationState:
    """Where a notification stands as a whole.

    It is done when its totals are known and nothing of it is queued, sending, retrying or unknown: what is sent needs
    no report to be done, because some carriers never report. `due` is false while its start lies ahead; `begun` says
    that something of it was planned, suppressed or tried already; `follows` that a fallback may still come.

    Cancelled is what was `stopped`, in part or before anything was planned: a cancel that came when everything had
    left stopped nothing.
    """
    if rejected and not accepted and not begun:
        return NotificationState.REJECTED
    settled = totals_known and not unfinished
    if gate is Gate.CANCELLED:
        had_left = settled and planned and not stopped
        return NotificationState.DONE if had_left else NotificationState.CANCELLED
    if settled and not follows:
        return NotificationState.DONE
    if gate in _HALTED:
        return _HALTED[gate]
    if not due and not begun and not totals_known:
        return NotificationState.WAITING
    return NotificationState.RUNNING


class Stopping(NamedTuple):
    """What a cancel came to: left before it took effect, claimed before and finished after it, stopped. With what is
    queued, sending and retrying they are all that was planned."""

    sent_before: int
    slipped: int
    stopped: int


def stopping(counts: Mapping[DeliveryState, int], *, planned: int, slipped: int) -> Stopping:
    """The three numbers; `counts` are those of a notification of `planned` deliveries."""
    stopped = counts.get(DeliveryState.CANCELLED, 0)
    open_ones = sum(counts.get(state, 0) for state in UNFINISHED - {DeliveryState.UNKNOWN})
    return Stopping(max(0, planned - open_ones - stopped - slipped), slipped, stopped)


assert all(is_final(CODES[state]) is (state in FINAL_DELIVERY_STATES) for state in DeliveryState)
