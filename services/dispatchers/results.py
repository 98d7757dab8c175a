"""What a finished window comes to: the event that tells it, and the exceptions that stay behind."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from libs.contracts.events import DeliveryAttempted
from libs.contracts.ids import event_id
from libs.contracts.outcomes import Accepted, Ambiguous, Outcome
from libs.contracts.states import DeliveryState
from services.dispatchers.retrying import Random, Standing, Unsent, Waiting, next_state
from services.dispatchers.windows import Earlier, Window

FRESH = Earlier(attempts=0, maybe_sent=False)


class Exceptional(NamedTuple):
    """A delivery that is to be tried again."""

    ordinal: int
    attempts: int
    maybe_sent: bool
    waiting: Waiting
    paid: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """`event` is none when nothing of the window was attempted and nothing of it is over. `released` micro-units of
    what was reserved were for deliveries that certainly did not leave."""

    window: Window
    event: DeliveryAttempted | None
    exceptions: Sequence[Exceptional] = ()
    released: int = 0


class _Columns(NamedTuple):
    numbers: list[int]
    attempts: list[int]
    states: list[DeliveryState]
    reasons: list[str]
    provider_message_ids: list[str]

    def add(self, number: int, attempts: int, state: DeliveryState, *, reason: str = "", given: str = "") -> None:
        """One delivery more."""
        self.numbers.append(number)
        self.attempts.append(attempts)
        self.states.append(state)
        self.reasons.append(reason)
        self.provider_message_ids.append(given)


def result_of(window: Window, *, finished_at: datetime, now: float, held_for: float, random: Random) -> Result:
    """Fold a complete window. `now` is on the window's monotonic clock, `held_for` the seconds its route stays shut."""
    chunk = window.chunk
    if not window.earlier and (given := _all_accepted(window.outcomes)):
        size = len(given)
        columns = _Columns(_numbers(window), [1] * size, [DeliveryState.SENT] * size, [""] * size, given)
        return Result(window, _event(window, columns, finished_at))
    columns = _Columns([], [], [], [], [])
    exceptions: list[Exceptional] = []
    released = 0
    for ordinal, number, outcome in zip(window.ordinals, _numbers(window), window.outcomes, strict=True):
        before = window.earlier.get(ordinal, FRESH)
        if isinstance(outcome, Accepted):  # nearly all of them: next_state would say the same
            columns.add(number, before.attempts + 1, DeliveryState.SENT, given=outcome.provider_message_id)
            continue
        if outcome is None:
            raise ValueError("a window without all its outcomes")
        standing = Standing(
            chunk.message_class, window.expires - now, before.attempts, before.maybe_sent, held_for, window.parks
        )
        after = next_state(outcome, standing, random)
        is_paid = before.paid or (window.cost > 0 and isinstance(outcome, Ambiguous))
        released += 0 if is_paid else window.cost
        if after.waiting:
            exceptions.append(Exceptional(ordinal, after.attempts, after.maybe_sent, after.waiting, is_paid))
        if after.report:
            columns.add(number, after.attempts, after.report, reason=after.reason)
    event = _event(window, columns, finished_at) if columns.numbers else None
    return Result(window, event, exceptions, released)


def slipped(event: DeliveryAttempted) -> DeliveryAttempted:
    """The event of a window that was claimed before a cancel and recorded after it."""
    return event.model_copy(update={"slipped": True})


def _numbers(window: Window) -> list[int]:
    first, numbers = window.chunk.first_number, window.chunk.numbers
    if numbers is None:
        return [first + ordinal for ordinal in window.ordinals]
    return [numbers[ordinal] for ordinal in window.ordinals]


def _all_accepted(outcomes: Sequence[Outcome | Unsent | None]) -> list[str] | None:
    """The carrier's ids when it took everything, which is nearly always so."""
    given = [outcome.provider_message_id for outcome in outcomes if isinstance(outcome, Accepted)]
    return given if len(given) == len(outcomes) else None


def _event(window: Window, columns: _Columns, finished_at: datetime) -> DeliveryAttempted:
    """The event is stored as it is with the claim, so that it can be published again unchanged. It is not validated:
    all of it comes from typed values, and for 500 deliveries that would cost as much as everything else here."""
    chunk = window.chunk
    return DeliveryAttempted.model_construct(
        event_id=event_id(window.claim_id, DeliveryAttempted.TYPE, 0),
        tenant=chunk.tenant,
        key=str(chunk.chunk_id),
        occurred_at=finished_at,
        causation_id=chunk.event_id,
        claim_id=window.claim_id,
        chunk_id=chunk.chunk_id,
        notification_id=chunk.notification_id,
        lane=chunk.lane,
        channel=chunk.channel,
        step=chunk.step,
        generation=chunk.generation,
        provider=window.route,
        finished_at=finished_at,
        numbers=tuple(columns.numbers),
        attempts=tuple(columns.attempts),
        states=tuple(columns.states),
        reasons=tuple(columns.reasons),
        provider_message_ids=tuple(columns.provider_message_ids),
    )
