"""Ids are computed, never looked up."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts import ids

INSTANTS = st.integers(0, 2**34).map(lambda milliseconds: datetime.fromtimestamp(milliseconds / 64, UTC))
NUMBERS = st.integers(0, ids.MAX_NUMBER)
STEPS = st.integers(0, ids.MAX_STEP)
NOTIFICATION = ids.NotificationId(UUID("019a3c5e-7b20-7a11-9c0d-3f2200000000"))


@given(INSTANTS)
def test_a_notification_id_is_a_uuid7_with_free_low_bits(now: datetime) -> None:
    value = ids.new_notification_id(now)
    assert (value.version, value.variant) == (7, "specified in RFC 4122")
    assert value.int & 0xFFFFFFFF == 0
    assert ids.is_notification_id(value)


@given(INSTANTS)
def test_the_instant_can_be_read_back_to_the_millisecond(now: datetime) -> None:
    assert timedelta(0) <= now - ids.created_at(ids.new_notification_id(now)) < timedelta(milliseconds=1.1)


@given(INSTANTS, st.timedeltas(timedelta(milliseconds=2), timedelta(days=3650)))
def test_ids_sort_by_time(now: datetime, later: timedelta) -> None:
    assert ids.new_notification_id(now) < ids.new_notification_id(now + later)


def test_two_ids_of_one_instant_differ() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert len({ids.new_notification_id(now) for _ in range(1000)}) == 1000


@given(INSTANTS, st.uuids(), st.uuids())
def test_a_derived_id_is_the_same_for_the_same_cause(now: datetime, one: UUID, other: UUID) -> None:
    first, second = (ids.event_id(cause, "send.notification", 0) for cause in (one, other))
    derived = ids.derived_notification_id(now, first)
    assert derived == ids.derived_notification_id(now, first)
    assert ids.is_notification_id(derived)
    assert (derived == ids.derived_notification_id(now, second)) == (one == other)
    assert ids.created_at(derived) == ids.created_at(ids.new_notification_id(now))


@given(INSTANTS, NUMBERS, STEPS)
def test_a_delivery_id_gives_its_parts_back(now: datetime, number: int, step: int) -> None:
    notification = ids.new_notification_id(now)
    delivery = ids.delivery_id(notification, number, step=step)
    assert ids.split_delivery_id(delivery) == (notification, step, number)
    assert delivery.version == 7


@given(st.tuples(STEPS, NUMBERS), st.tuples(STEPS, NUMBERS))
def test_deliveries_sort_by_step_then_number(one: tuple[int, int], other: tuple[int, int]) -> None:
    first = ids.delivery_id(NOTIFICATION, one[1], step=one[0])
    second = ids.delivery_id(NOTIFICATION, other[1], step=other[0])
    assert (first < second) == (one < other)
    assert (first == second) == (one == other)


@pytest.mark.parametrize(("number", "step"), [(-1, 0), (ids.MAX_NUMBER + 1, 0), (0, -1), (0, ids.MAX_STEP + 1)])
def test_a_part_that_does_not_fit_is_refused(number: int, step: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        ids.delivery_id(NOTIFICATION, number, step=step)


@pytest.mark.parametrize(
    "value", [UUID(int=0), UUID("5f0c1a52-3a9e-4d0b-8a37-0d6a00000000"), ids.delivery_id(NOTIFICATION, 1)]
)
def test_other_uuids_are_not_notification_ids(value: UUID) -> None:
    assert not ids.is_notification_id(value)


def test_derived_ids_are_the_same_for_ever() -> None:
    """Written down, because rows and log records of earlier versions hold them."""
    delivery = ids.delivery_id(NOTIFICATION, 7, step=1)
    assert str(delivery) == "019a3c5e-7b20-7a11-9c0d-3f2210000007"
    assert str(ids.chunk_id(NOTIFICATION, 500, step=1, generation=2)) == "7e9edc79-7f9a-51a3-a133-42b2ad372e5d"
    assert str(ids.provider_key(delivery, 1)) == "a26c0c3f-b831-5e29-b6a4-d3e3caf14fb0"
    assert str(ids.event_id(NOTIFICATION, "notification.accepted", 0)) == "a5989610-e120-5678-b76d-1b00fa7e3c04"


@given(st.sets(st.tuples(STEPS, st.integers(0, 9), NUMBERS), min_size=2, max_size=20))
def test_chunks_of_different_places_have_different_ids(places: set[tuple[int, int, int]]) -> None:
    found = {ids.chunk_id(NOTIFICATION, number, step=step, generation=gen) for step, gen, number in places}
    assert len(found) == len(places)
