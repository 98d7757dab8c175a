"""What instant a wall clock means. Whoever is given a local time and a zone asks here: all of them mean the same.

The rules are those of the tzdata package that is installed, never the system's: `TZDATA` says which release of the
IANA database that is, and is stored beside an instant that was found with it.
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import NamedTuple
from zoneinfo import ZoneInfo

TZDATA = version("tzdata")

_MAX_NAME = 64
# In the list, but no place: what a computer says that was told none.
_NO_PLACE = "Factory"


class Adjusted(StrEnum):
    """What became of a local time that the change to or from daylight saving makes impossible or doubtful."""

    NONE = "none"
    GAP = "gap"
    OVERLAP = "overlap"


class Resolved(NamedTuple):
    """The instant (in UTC), and whether it took a rule to find it."""

    instant: datetime
    adjusted: Adjusted


def resolve(wall: datetime, zone: str) -> Resolved:
    """The instant at which a clock on a wall in `zone` (an IANA name) shows `wall`, which has no offset.

    A time that the clocks jump over (a gap) is moved forward by as much as they jump: 02:30 becomes 03:30. One that
    they show twice (an overlap) means the first time. Raises ValueError for an unknown zone, for a `wall` with an
    offset and for one that has no UTC form.
    """
    if wall.tzinfo is not None:
        raise ValueError("a wall-clock time has no offset")
    place = _place(zone)
    first, second = wall.replace(tzinfo=place, fold=0), wall.replace(tzinfo=place, fold=1)
    try:
        # In a gap the earlier fold counts with the offset before it, which is the shift forward.
        instant = first.astimezone(UTC)
        shown = instant.astimezone(place).replace(tzinfo=None, fold=0)
    except OverflowError as error:
        raise ValueError("a time at the end of the calendar") from error
    if shown != wall.replace(fold=0):
        return Resolved(instant, Adjusted.GAP)
    if _offset(first) != _offset(second):
        return Resolved(instant, Adjusted.OVERLAP)
    return Resolved(instant, Adjusted.NONE)


def is_zone(name: str) -> bool:
    """Whether `name` is one of the database's, letter by letter."""
    return len(name) <= _MAX_NAME and name in zones()


@cache
def zones() -> frozenset[str]:
    """The names of all zones, links included."""
    names = (files("tzdata") / "zones").read_text(encoding="utf-8").split()
    return frozenset(names) - {_NO_PLACE}


@cache
def _place(name: str) -> ZoneInfo:
    if not is_zone(name):
        raise ValueError("no such zone")
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)


def _offset(moment: datetime) -> timedelta:
    offset = moment.utcoffset()
    assert offset is not None  # every zone has one
    return offset
