"""Points in time as callers write them."""

from datetime import UTC, datetime

from libs.wire import JsonValue
from services.gateway.faults import Fault

# Nearer to the ends of the calendar a time with an offset has no UTC form.
FIRST_YEAR, LAST_YEAR = 1971, 9998
_EXAMPLE = "2027-03-01T09:00:00+02:00"


def instant(value: JsonValue) -> datetime:
    """An instant in UTC, from ISO 8601 with an offset. Raises Fault: without one nobody knows when it is meant."""
    if not isinstance(value, str):
        raise Fault(f"must be a string such as {_EXAMPLE}.")
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise Fault(f"has no offset from UTC. Add one, as in {_EXAMPLE}.")
        if not FIRST_YEAR <= moment.year <= LAST_YEAR:
            raise Fault(f"is outside the years {FIRST_YEAR} to {LAST_YEAR}.")
        return moment.astimezone(UTC)
    except ValueError as error:
        raise Fault(f"is not ISO 8601. Write it as {_EXAMPLE}.") from error
