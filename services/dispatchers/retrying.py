"""What follows from an outcome: a state to report, or another attempt and when."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, StrEnum

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
from libs.contracts.states import DeliveryState
from services.dispatchers.holding import LONGEST_RETRY_AFTER

Random = Callable[[], float]


MINUTE = 60.0
HOUR = 60 * MINUTE

# The longest wait before each further attempt, in seconds.
SCHEDULES: Mapping[MessageClass, tuple[float, ...]] = {
    MessageClass.OTP: (1, 3, 7, 15),
    MessageClass.TRANSACTIONAL: (5, 30, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR),
    MessageClass.BULK: (MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 6 * HOUR),
    # The table of Standard Webhooks.
    MessageClass.WEBHOOK: (
        5,
        5 * MINUTE,
        30 * MINUTE,
        2 * HOUR,
        5 * HOUR,
        10 * HOUR,
        14 * HOUR,
        20 * HOUR,
        24 * HOUR,
    ),
}
# How much of a step is drawn; the rest is waited in any case. An endpoint that is down for days shall not have used up
# its attempts in one.
JITTER: Mapping[MessageClass, float] = {
    MessageClass.OTP: 1.0,
    MessageClass.TRANSACTIONAL: 1.0,
    MessageClass.BULK: 1.0,
    MessageClass.WEBHOOK: 0.2,
}

# How long a delivery is worth sending when nobody said so.
LIFETIMES: Mapping[MessageClass, timedelta] = {
    MessageClass.OTP: timedelta(minutes=5),
    MessageClass.TRANSACTIONAL: timedelta(hours=24),
    MessageClass.BULK: timedelta(hours=24),
    MessageClass.WEBHOOK: timedelta(hours=80),  # the whole schedule
}


class Unsent(Enum):
    """Why a delivery was not submitted at all."""

    DEFERRED = "deferred"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    NO_FUNDS = "no funds"
    PARKED = "parked"  # it may have been sent, and its route leaves that to an operator


class ItemState(StrEnum):
    """What an exception waits for."""

    RETRY = "retry"
    DEFERRED = "deferred"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Another attempt will be made, `due_in` seconds from now."""

    state: ItemState
    due_in: float


@dataclass(frozen=True, slots=True)
class Next:
    """Where a delivery stands. `report` is none when nothing was attempted and nothing is over, `waiting` when this was
    the last word. `attempts` counts those made so far; `maybe_sent`: the outcome of some attempt is unknown."""

    report: DeliveryState | None
    reason: str
    attempts: int
    maybe_sent: bool
    waiting: Waiting | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a delivery before this outcome. `expires_in` and `held_for` in seconds from now: until the
    message is worthless, and how long its route takes nothing. `parks`: what may have been sent is left to an operator
    and not sent again."""

    message_class: MessageClass
    expires_in: float
    attempts: int = 0
    maybe_sent: bool = False
    held_for: float = 0.0
    parks: bool = False


def next_state(outcome: Outcome | Unsent, before: Standing, random: Random) -> Next:  # noqa: PLR0911, PLR0912 - a case each
    """Decide. `random` gives values in [0, 1).

    An ambiguous outcome is settled by sending again to the same provider with the same key, as an attempt; a throttle,
    a misconfigured account and what was never submitted cost no attempt.
    """
    match outcome:
        case Accepted():
            return Next(DeliveryState.SENT, "", before.attempts + 1, False)
        case Permanent(reason):
            return Next(DeliveryState.CARRIER_REJECTED, reason, before.attempts + 1, before.maybe_sent)
        case Transient(reason):
            return _attempted(before, reason, ItemState.RETRY, before.maybe_sent, random)
        case Ambiguous(reason) if before.parks:
            return Next(DeliveryState.UNKNOWN, reason, before.attempts + 1, True)
        case Ambiguous(reason):
            return _attempted(before, reason, ItemState.AMBIGUOUS, True, random)
        case OutOfFunds(reason):
            return Next(DeliveryState.NO_FUNDS, reason, before.attempts, before.maybe_sent)
        case Throttled(reason, asked):
            return _not_attempted(before, reason, random, asked)
        case Misconfigured(reason):
            return _not_attempted(before, reason, random)
        case Unsent.DEFERRED:
            return _not_attempted(before, "deferred", random)
        case Unsent.EXPIRED:
            return _over(before, "expired before it could be sent", before.attempts, before.maybe_sent)
        case Unsent.CANCELLED:
            return _stopped(before, DeliveryState.CANCELLED, "cancelled")
        case Unsent.NO_FUNDS:
            return _stopped(before, DeliveryState.NO_FUNDS, "not enough funds")
        case Unsent.PARKED:
            return Next(DeliveryState.UNKNOWN, "outcome unknown", before.attempts, True)


def _attempted(before: Standing, reason: str, state: ItemState, maybe_sent: bool, random: Random) -> Next:
    attempts = before.attempts + 1
    schedule = SCHEDULES[before.message_class]
    if attempts > len(schedule):
        report = DeliveryState.UNKNOWN if maybe_sent else DeliveryState.FAILED
        return Next(report, reason, attempts, maybe_sent)
    drawn = JITTER[before.message_class]
    due_in = max(schedule[attempts - 1] * (1 - drawn + drawn * random()), before.held_for)
    if due_in >= before.expires_in:
        return _over(before, reason, attempts, maybe_sent)
    return Next(DeliveryState.RETRYING, reason, attempts, maybe_sent, Waiting(state, due_in))


def _not_attempted(before: Standing, reason: str, random: Random, asked: timedelta | None = None) -> Next:
    least = max(before.held_for, min(asked.total_seconds(), LONGEST_RETRY_AFTER) if asked else 0.0)
    # Spread over a quarter more, so that all that waits for a route does not come at the same moment.
    due_in = least * (1 + random() / 4)
    if due_in >= before.expires_in:
        return _over(before, reason, before.attempts, before.maybe_sent)
    return Next(None, reason, before.attempts, before.maybe_sent, Waiting(ItemState.DEFERRED, due_in))


def _stopped(before: Standing, state: DeliveryState, reason: str) -> Next:
    """Not sent any more. What may have arrived is nothing but unknown."""
    report = DeliveryState.UNKNOWN if before.maybe_sent else state
    return Next(report, reason, before.attempts, before.maybe_sent)


def _over(before: Standing, reason: str, attempts: int, maybe_sent: bool) -> Next:
    """Time is up. Nobody may call expired what may have arrived."""
    return Next(DeliveryState.UNKNOWN if maybe_sent else DeliveryState.EXPIRED, reason, attempts, maybe_sent)
