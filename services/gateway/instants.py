"""Points in time as callers write them."""

from datetime import UTC, datetime

from libs.wall_clock import Adjusted, is_zone, resolve
from libs.wire import JsonValue
from services.gateway.faults import Fault, Faults
from services.gateway.translation import Start

# Nearer to the ends of the calendar a time with an offset has no UTC form.
FIRST_YEAR, LAST_YEAR = 1971, 9998
_EXAMPLE = "2027-03-01T09:00:00+02:00"
_WALL_EXAMPLE = "2027-03-01T09:00:00"


def instant(value: JsonValue) -> datetime:
    """An instant in UTC, from ISO 8601 with an offset. Raises Fault: without one nobody knows when it is meant."""
    moment = _moment(value, _EXAMPLE)
    if moment.tzinfo is None:
        raise Fault(f"has no offset from UTC. Add one, as in {_EXAMPLE}, or say the zone.")
    return moment.astimezone(UTC)


def start(at: JsonValue, zone: JsonValue, faults: Faults) -> Start | None:
    """When it may leave: `at` with its offset, or as a wall-clock time of `zone`. None where there is no `at`, and
    where a fault was remembered."""
    if at is None:
        if zone is not None:
            faults.add("zone", "is the zone of at, which is missing.")
        return None
    if zone is not None:
        return _in_zone(at, zone, faults)
    moment = faults.read("at", instant, at)
    return None if moment is None else Start(moment)


def _in_zone(at: JsonValue, zone: JsonValue, faults: Faults) -> Start | None:
    name, wall = faults.read("zone", _zone, zone), faults.read("at", _wall_time, at)
    if name is None or wall is None:
        return None
    resolved = resolve(wall, name)
    adjusted = None if resolved.adjusted is Adjusted.NONE else resolved.adjusted.value
    return Start(resolved.instant, wall.isoformat(), name, adjusted)


def _zone(value: JsonValue) -> str:
    if not isinstance(value, str) or not is_zone(value):
        raise Fault("must be the name of a zone, such as Europe/Warsaw.")
    return value


def _wall_time(value: JsonValue) -> datetime:
    moment = _moment(value, _WALL_EXAMPLE)
    if moment.tzinfo is not None:
        raise Fault(f"has an offset and a zone. Leave out the zone, or write {_WALL_EXAMPLE}.")
    if isinstance(value, str) and len(value) < len("2027-03-01T09"):
        raise Fault(f"has no time of the day. Write it as {_WALL_EXAMPLE}.")
    return moment


def _moment(value: JsonValue, example: str) -> datetime:
    if not isinstance(value, str):
        raise Fault(f"must be a string such as {example}.")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise Fault(f"is not ISO 8601. Write it as {example}.") from error
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise Fault(f"is outside the years {FIRST_YEAR} to {LAST_YEAR}.")
    return moment
