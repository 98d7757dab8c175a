"""What may be done to a notification, and what is in force then. Cancelled is final."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from libs.contracts.commands import ControlAction
from libs.contracts.states import Gate


class Place(StrEnum):
    """Where a notification is, as far as the scheduler knows."""

    UNKNOWN = "unknown"
    """Not accepted yet, or sent on at once."""
    WAITING = "waiting"
    RELEASED = "released"


class Refusal(StrEnum):
    """Why nothing was done."""

    CANCELLED = "It was cancelled, which is final."
    RELEASED = "It has left already: its start cannot be changed."


@dataclass(frozen=True, slots=True)
class Start:
    """When it may leave; `wall` and `zone` as in Notification."""

    at: datetime
    wall: str | None = None
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What is in force. `start` is the one that holds where it waits, and of an unknown one what a reschedule asked
    for. `missed`: it is held because its start was; `reason` says so in words. Revision 0: nobody ever touched it."""

    place: Place = Place.UNKNOWN
    gate: Gate = Gate.OPEN
    revision: int = 0
    start: Start | None = None
    missed: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is in force after a command, the same as before where nothing had to change or it was refused."""

    standing: Standing
    refusal: Refusal | None = None


def decide(standing: Standing, action: ControlAction, start: Start | None = None) -> Decision:
    """What a command leads to; `start` is a reschedule's."""
    if standing.gate is Gate.CANCELLED:
        return Decision(standing, None if action is ControlAction.CANCEL else Refusal.CANCELLED)
    match action:
        case ControlAction.CANCEL:
            return Decision(_turned(standing, Gate.CANCELLED))
        case ControlAction.PAUSE:
            # What is held stays held: it needs a confirmation all the same.
            return Decision(_turned(standing, Gate.PAUSED) if standing.gate is Gate.OPEN else standing)
        case ControlAction.RESUME:
            return Decision(standing if standing.gate is Gate.OPEN else _turned(standing, Gate.OPEN))
        case ControlAction.RESCHEDULE:
            return _moved(standing, start)


def arrived(standing: Standing, start: Start) -> Standing:
    """The acceptance came, and it waits for `start` unless another one was asked for before. Only what was controlled
    changes: everybody who heard of it must hear that it waits."""
    waiting = replace(standing, place=Place.WAITING, start=standing.start or start)
    return replace(waiting, revision=standing.revision + 1) if standing.revision else waiting


def missed(standing: Standing, late: timedelta) -> Standing:
    """Held, because it was to leave `late` ago and nobody was there."""
    return replace(
        standing,
        gate=Gate.HELD,
        revision=standing.revision + 1,
        missed=True,
        reason=f"the start was missed by {_rounded(late)}",
    )


def _turned(standing: Standing, gate: Gate) -> Standing:
    return replace(standing, gate=gate, revision=standing.revision + 1, missed=False, reason="")


def _moved(standing: Standing, start: Start | None) -> Decision:
    if standing.place is Place.RELEASED:
        return Decision(standing, Refusal.RELEASED)
    if start is None or (start == standing.start and not standing.missed):
        return Decision(standing)
    # A missed start is no obstacle to another one; a pause is.
    gate = Gate.OPEN if standing.missed else standing.gate
    return Decision(replace(_turned(standing, gate), start=start))


def _rounded(late: timedelta) -> str:
    """In the largest unit of which it is at least two."""
    seconds = late.total_seconds()
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
