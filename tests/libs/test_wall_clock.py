"""Wall clocks in every zone there is, against the one direction that is never in doubt: what an instant looks like."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.wall_clock import TZDATA, Adjusted, is_zone, resolve, zones

FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
# No zone is farther from UTC, and none changes by more.
FARTHEST = timedelta(hours=26)

TABLE = {
    "winter": ("2026-01-15T09:00", "Europe/Warsaw", "2026-01-15T08:00Z", Adjusted.NONE),
    "summer": ("2026-07-15T09:00", "Europe/Warsaw", "2026-07-15T07:00Z", Adjusted.NONE),
    "a gap": ("2026-03-29T02:30", "Europe/Warsaw", "2026-03-29T01:30Z", Adjusted.GAP),
    "a gap begins": ("2026-03-29T02:00", "Europe/Warsaw", "2026-03-29T01:00Z", Adjusted.GAP),
    "just before a gap": ("2026-03-29T01:59:59", "Europe/Warsaw", "2026-03-29T00:59:59Z", Adjusted.NONE),
    "a gap has ended": ("2026-03-29T03:00", "Europe/Warsaw", "2026-03-29T01:00Z", Adjusted.NONE),
    "an overlap": ("2026-10-25T02:30", "Europe/Warsaw", "2026-10-25T00:30Z", Adjusted.OVERLAP),
    "an overlap begins": ("2026-10-25T02:00", "Europe/Warsaw", "2026-10-25T00:00Z", Adjusted.OVERLAP),
    "an overlap has ended": ("2026-10-25T03:00", "Europe/Warsaw", "2026-10-25T02:00Z", Adjusted.NONE),
    "half an hour": ("2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-03T15:45Z", Adjusted.GAP),
    "at midnight": ("2026-09-06T00:30", "America/Santiago", "2026-09-06T04:30Z", Adjusted.GAP),
    "summer time below zero": ("2026-10-25T01:30", "Europe/Dublin", "2026-10-25T00:30Z", Adjusted.OVERLAP),
    "for Ramadan": ("2026-02-15T02:30", "Africa/Casablanca", "2026-02-15T01:30Z", Adjusted.OVERLAP),
    "no daylight saving": ("2026-03-29T02:30", "Asia/Kathmandu", "2026-03-28T20:45Z", Adjusted.NONE),
    "a link": ("2026-03-08T02:30", "US/Pacific", "2026-03-08T10:30Z", Adjusted.GAP),
    "after the last rule in the file": ("2090-03-26T02:30", "Europe/Warsaw", "2090-03-26T01:30Z", Adjusted.GAP),
}


@pytest.mark.parametrize(("wall", "zone", "instant", "adjusted"), TABLE.values(), ids=TABLE)
def test_table(wall: str, zone: str, instant: str, adjusted: Adjusted) -> None:
    assert resolve(datetime.fromisoformat(wall), zone) == (datetime.fromisoformat(instant), adjusted)


def instants_showing(wall: datetime, zone: ZoneInfo) -> list[datetime]:
    """Every instant at which the clocks show `wall`, found without asking what `wall` means."""
    around = wall.replace(tzinfo=UTC)
    offsets = {local(around + step, zone) - (wall + step) for step in (-FARTHEST, FARTHEST)}
    return sorted({at for offset in offsets if local(at := around - offset, zone) == wall})


def local(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def transitions(zone: ZoneInfo) -> Iterator[tuple[datetime, timedelta]]:
    """The first second of every new offset in these years, and how far the clocks jump then."""
    at, before = FIRST, offset(FIRST, zone)
    while at < LAST:
        following = at + DAY
        if (after := offset(following, zone)) != before:
            low, high = at, following
            while high - low > SECOND:
                middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
                low, high = (middle, high) if offset(middle, zone) == before else (low, middle)
            yield high, after - before
            before = after
        at = following


def offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    found = instant.astimezone(zone).utcoffset()
    assert found is not None
    return found


def of_package(name: str) -> ZoneInfo:
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules)


def places() -> dict[str, str]:
    """A name of every different set of rules: hundreds of names are links."""
    folder = files("tzdata") / "zoneinfo"
    by_rules = {folder.joinpath(*name.split("/")).read_bytes(): name for name in sorted(zones())}
    return {name: name for name in sorted(by_rules.values())}


def check(wall: datetime, name: str, zone: ZoneInfo) -> Adjusted:
    """What the module says against what the clocks show."""
    instant, adjusted = resolve(wall, name)
    assert instant.utcoffset() == timedelta(0)
    match instants_showing(wall, zone):
        case [only]:
            assert (instant, adjusted) == (only, Adjusted.NONE)
        case [first, _]:
            assert (instant, adjusted) == (first, Adjusted.OVERLAP)
        case none:
            assert (none, adjusted) == ([], Adjusted.GAP)
            assert local(instant, zone) > wall
    return adjusted


def test_every_transition_of_every_zone() -> None:
    """Around each, to the second: what is skipped moves forward by as much as the clocks jump, what comes twice is the
    first, and what is on either side means itself."""
    seen = {Adjusted.GAP: 0, Adjusted.OVERLAP: 0}
    for name in places():
        zone = of_package(name)
        for at, jump in transitions(zone):
            edge = local(at - SECOND, zone) + SECOND  # what the old clocks would have shown
            low, high = min(edge, edge + jump), max(edge, edge + jump)
            kind = Adjusted.GAP if jump > timedelta(0) else Adjusted.OVERLAP
            for inside in (low, low + (high - low) / 2, high - SECOND):
                assert check(inside, name, zone) is kind, (name, inside)
                if kind is Adjusted.GAP:
                    assert local(resolve(inside, name).instant, zone) == inside + jump
                    assert resolve(inside, name).instant - at == inside - edge
            for outside in (low - SECOND, high, low - 5 * MINUTE, high + 5 * MINUTE):
                assert check(outside, name, zone) is Adjusted.NONE, (name, outside)
            seen[kind] += 1
    # Nobody knows how many there will be; none would mean that nothing was looked at.
    assert min(seen.values()) > 500


@given(
    st.sampled_from(sorted(zones())),
    st.datetimes(datetime(2024, 1, 1), datetime(2030, 12, 31)),  # noqa: DTZ001 - a wall clock
)
def test_any_time_in_any_zone(name: str, wall: datetime) -> None:
    check(wall, name, of_package(name))


@given(st.sampled_from(sorted(zones())), st.datetimes(datetime(2024, 1, 1), datetime(2030, 12, 31)))  # noqa: DTZ001
def test_a_clock_s_instant_is_found_again(name: str, moment: datetime) -> None:
    """What is shown at an instant leads back to it, or to the first of the two instants that show it."""
    instant = moment.replace(tzinfo=UTC)
    found, adjusted = resolve(local(instant, of_package(name)), name)
    assert adjusted is not Adjusted.GAP
    assert found == instant or (adjusted is Adjusted.OVERLAP and found < instant)


@given(st.sampled_from(sorted(zones())), st.integers(0, 1))
def test_whoever_wrote_a_fold_is_not_asked(name: str, fold: int) -> None:
    wall = datetime(2026, 10, 25, 2, 30)  # noqa: DTZ001 - a wall clock
    assert resolve(wall.replace(fold=fold), name) == resolve(wall, name)


NO_ZONES = (
    *("", " ", "Europe", "europe/warsaw", "Europe/Warsaw ", "Europe/Warsaw\0", "Europe//Warsaw", "CEST", "Factory"),
    *("../Europe/Warsaw", "/etc/localtime", "zone.tab", "A" * 1000, "GMT+2", "+02:00"),
)


@pytest.mark.parametrize("name", NO_ZONES)
def test_no_zone(name: str) -> None:
    assert not is_zone(name)
    with pytest.raises(ValueError, match="no such zone"):
        resolve(datetime(2026, 1, 1), name)  # noqa: DTZ001 - a wall clock


def test_a_time_with_an_offset_is_no_wall_clock_s() -> None:
    with pytest.raises(ValueError, match="offset"):
        resolve(FIRST, "Europe/Warsaw")


@pytest.mark.parametrize(
    ("wall", "zone"),
    [(datetime(1, 1, 1), "Asia/Tokyo"), (datetime(9999, 12, 31, 23), "America/Lima")],  # noqa: DTZ001
)
def test_the_ends_of_the_calendar(wall: datetime, zone: str) -> None:
    with pytest.raises(ValueError, match="end of the calendar"):
        resolve(wall, zone)


def test_the_release_of_the_database_is_said() -> None:
    assert TZDATA[:2] == "20"
    assert {"Europe/Warsaw", "UTC", "Asia/Kolkata", "US/Pacific"} <= zones()
