from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.content import StoredContent
from libs.contracts.ids import delivery_id, new_notification_id, provider_key
from libs.contracts.outcomes import Accepted
from libs.contracts.routing import Lane
from services.dispatchers.holding import FIRST_HOLD, LONGEST_HOLD, LONGEST_RETRY_AFTER, RouteHold
from services.dispatchers.keys import provider_keys
from services.dispatchers.staging import NOWHERE, Offer, UnsendableContent, compress, decompress, plan_staging
from services.dispatchers.windows import Room, pack
from tests.services.dispatchers.making import make_chunk, make_window, timedelta

NOTIFICATION = new_notification_id(datetime(2026, 11, 22, tzinfo=UTC))


@given(st.lists(st.integers(0, 2**28 - 1), max_size=5), st.integers(0, 15), st.integers(0, 9))
def test_keys_by_the_hundred_are_the_keys_of_the_contract(numbers: list[int], step: int, generation: int) -> None:
    expected = [provider_key(delivery_id(NOTIFICATION, number, step=step), generation).hex for number in numbers]
    assert provider_keys(NOTIFICATION, numbers, step=step, generation=generation) == expected
    assert all(UUID(key).version == 5 for key in expected)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(1, 50))
def test_parcels_hold_everything_once_in_order_and_are_full(sizes: list[int], limit: int) -> None:
    windows = [make_window(make_chunk(size)) for size in sizes]
    parcels = pack(windows, limit)
    flat = [(part.window, ordinal) for parcel in parcels for part in parcel for ordinal in part.ordinals]
    assert flat == [(window, ordinal) for window in windows for ordinal in window.ordinals]
    filled = [sum(part.stop - part.start for part in parcel) for parcel in parcels]
    assert all(size == limit for size in filled[:-1])
    assert filled[-1] <= limit


def test_a_window_is_complete_when_every_part_is_settled() -> None:
    window = make_window(make_chunk(5))
    assert not window.settle(2, [Accepted("c")] * 3)
    assert window.settle(0, [Accepted("a")] * 2)
    assert [outcome.provider_message_id for outcome in window.outcomes if isinstance(outcome, Accepted)] == [*"aaccc"]


def room(**per_route: int) -> Room:
    return Room(per_tenant={Lane.URGENT: 50, Lane.BULK: 80}, total=100, per_route=per_route)


def test_room_is_bounded_for_a_tenant_and_over_all_with_a_share_for_the_urgent_lane() -> None:
    held = room()
    held.hold(Lane.BULK, "a", "one", 60)
    assert held.free(Lane.BULK, "a", "one") == 20
    held.hold(Lane.BULK, "b", "one", 20)
    assert held.free(Lane.BULK, "c", "one") == 0
    assert held.free(Lane.URGENT, "c", "one") == 20
    held.release(Lane.BULK, "a", "one", 60)
    assert held.free(Lane.BULK, "c", "one") == 60
    assert held.free(Lane.URGENT, "c", "one") == 50


def test_one_route_leaves_room_to_the_others() -> None:
    held = room(one=50)
    assert (held.limit(Lane.BULK, "one"), held.limit(Lane.BULK, "two")) == (40, 80)
    assert held.limit(Lane.URGENT, "one") == 50
    held.hold(Lane.BULK, "a", "one", 40)
    assert held.free(Lane.BULK, "b", "one") == 0
    assert held.free_on(Lane.URGENT, "one") == 10
    assert held.free(Lane.BULK, "b", "two") == 40
    held.release(Lane.BULK, "a", "one", 40)
    assert held.free(Lane.BULK, "b", "one") == 40


def plan(sizes: list[tuple[str, int]], *, free: int = 100, on_route: int = 1000, total: int = 1000) -> list[int]:
    batch = [(make_chunk(size, tenant=tenant), 0, None) for tenant, size in sizes]
    offer = Offer("one", free, on_route)
    return [staging.take for staging in plan_staging(batch, lambda tenant: offer, total)]


@pytest.mark.parametrize(
    ("sizes", "free", "total", "takes"),
    [
        ([("a", 40), ("a", 60)], 100, 1000, [40, 60]),
        ([("a", 40), ("a", 61), ("a", 1)], 100, 1000, [40, 0, 0]),
        ([("a", 101), ("b", 100)], 100, 1000, [0, 100]),
        ([("a", 90), ("b", 90)], 100, 150, [90, 0]),
        ([("a", 1)], 0, 1000, [0]),
    ],
)
def test_whole_chunks_are_claimed_in_order_while_there_is_room(
    sizes: list[tuple[str, int]], free: int, total: int, takes: list[int]
) -> None:
    assert plan(sizes, free=free, total=total) == takes


def test_each_tenant_goes_its_way_and_a_route_that_is_full_takes_no_more() -> None:
    offers = {"a": Offer("one", 100, 50), "b": Offer("one", 100, 50), "c": Offer("two", 100, 50), "d": NOWHERE}
    batch = [(make_chunk(40, tenant=tenant), 0, None) for tenant in offers]
    stagings = plan_staging(batch, offers.__getitem__, 1000, lambda chunk: 2)
    assert [(each.route, each.take, each.segments) for each in stagings] == [
        ("one", 40, 2),
        ("one", 0, 2),
        ("two", 40, 2),
        ("", 0, 2),
    ]


def test_a_chunk_twice_in_a_batch_is_staged_once() -> None:
    chunk = make_chunk(3)
    assert len(plan_staging([(chunk, 0, None), (chunk, 0, None)], lambda tenant: NOWHERE, 100)) == 1


def test_content_by_reference_is_refused() -> None:
    stored = StoredContent(sha256="0" * 64, size=7)
    chunk = make_chunk().model_copy(update={"content": stored})
    with pytest.raises(UnsendableContent):
        plan_staging([(chunk, 0, None)], lambda tenant: NOWHERE, 100)


@given(st.binary(max_size=1000))
def test_bodies_come_back_as_they_were(body: bytes) -> None:
    assert decompress(compress(body)) == body


def test_a_throttled_route_is_held_longer_each_time_and_what_was_on_its_way_says_nothing_new() -> None:
    hold = RouteHold()
    hold.throttled(now=10, started=9, retry_after=None)
    assert hold.remaining(10) == FIRST_HOLD
    hold.throttled(now=10.1, started=9.5, retry_after=None)
    assert hold.length == FIRST_HOLD
    now = 11.2
    for _ in range(10):
        hold.throttled(now=now, started=now, retry_after=None)
        now = hold.until
    assert hold.length == LONGEST_HOLD
    hold.passed(started=now)
    hold.throttled(now=now, started=now, retry_after=timedelta(days=9))
    assert hold.remaining(now) == LONGEST_RETRY_AFTER


def test_a_refused_account_is_shown_until_something_passes() -> None:
    hold = RouteHold()
    hold.refused_account(5.0, "http 401")
    assert hold.misconfigured == "http 401"
    assert hold.remaining(5.0) > 0
    hold.passed(started=4.0)
    assert hold.misconfigured
    hold.passed(started=40.0)
    assert hold.misconfigured is None
