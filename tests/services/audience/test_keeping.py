"""Who of an earlier step or generation gets the next message, and under which number."""

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.commands import MAX_CHUNK, ExpandAudience, Recipients
from libs.contracts.routing import Channel, partition_of
from services.audience.keeping import closed_page, plan_recipients
from services.audience.packing import pack, unpack
from services.audience.planning import NO_ADDRESS, VALID_ADDRESS, PagePlan, Rule

ANNA, JAN, URL = "+48600000001", "+48600000002", "https://example.com/hook"


def recipients(*people: tuple[int, int | None, str | None]) -> Recipients:
    numbers, client_ids, addresses = zip(*people, strict=True)
    return Recipients(numbers=numbers, client_ids=client_ids, addresses=addresses)


def plan(
    asked: Recipients,
    contacts: dict[int, str | None] | None = None,
    *,
    channel: Channel = Channel.VIBER,
    ordering_key: str | None = None,
) -> PagePlan:
    return plan_recipients(asked, channel, contacts or {}, tenant="demo", ordering_key=ordering_key, partitions=24)


def planned(page: PagePlan) -> dict[int, str]:
    return {
        number: address
        for chunk in page.chunks
        for number, address in zip(chunk.numbers or (), chunk.addresses, strict=True)
    }


def left(page: PagePlan) -> dict[int, str]:
    return {
        number: rule for chunk in page.suppressed for number, rule in zip(chunk.numbers or (), chunk.rules, strict=True)
    }


@pytest.mark.parametrize(
    ("people", "contacts", "expected", "without"),
    [
        pytest.param([(500, 7, None)], {7: ANNA}, {500: ANNA}, {}, id="known, with a phone"),
        pytest.param([(500, 7, JAN)], {7: ANNA}, {500: ANNA}, {}, id="the address of now counts"),
        pytest.param([(500, 7, JAN)], {7: None}, {}, {500: Rule.NO_PHONE}, id="no phone any more"),
        pytest.param([(500, 7, JAN)], {}, {}, {500: Rule.UNKNOWN_CLIENT}, id="not known any more"),
        pytest.param([(3, None, ANNA), (9, None, JAN)], {}, {3: ANNA, 9: JAN}, {}, id="given by address"),
        pytest.param([(3, None, "12")], {}, {}, {3: Rule.INVALID_ADDRESS}, id="no phone at all"),
        pytest.param([(3, None, None)], {}, {}, {3: Rule.NO_PHONE}, id="nothing to go by"),
        pytest.param(
            [(1, 7, None), (5, 7, None)], {7: ANNA}, {1: ANNA}, {5: Rule.DUPLICATE_CLIENT}, id="one person twice"
        ),
        pytest.param(
            [(1, 7, None), (5, 8, None), (6, None, ANNA)],
            {7: ANNA, 8: ANNA},
            {1: ANNA},
            {5: Rule.DUPLICATE_ADDRESS, 6: Rule.DUPLICATE_ADDRESS},
            id="one address three times",
        ),
        pytest.param(
            [(1, 7, None), (5, 8, None)],
            {7: None, 8: JAN},
            {5: JAN},
            {1: Rule.NO_PHONE},
            id="the others still get theirs",
        ),
    ],
)
def test_who_gets_it(
    people: list[tuple[int, int | None, str | None]],
    contacts: dict[int, str | None],
    expected: dict[int, str],
    without: dict[int, Rule],
) -> None:
    page = plan(recipients(*people), contacts)
    assert planned(page) == expected
    assert left(page) == without
    assert (page.planned_count, page.suppressed_count) == (len(expected), len(without))
    assert page.next_cursor is None


def test_webhooks_go_to_addresses_alone() -> None:
    page = plan(recipients((1, None, URL), (2, 7, None)), {7: None}, channel=Channel.WEBHOOK)
    assert planned(page) == {1: URL}
    assert left(page) == {2: Rule.NO_URL}


def test_every_channel_has_its_rules() -> None:
    assert set(NO_ADDRESS) == set(VALID_ADDRESS) == set(Channel)


def test_an_ordering_key_puts_everybody_on_its_partition() -> None:
    page = plan(recipients(*((n, None, f"+48{600_000_000 + n}") for n in range(500))), ordering_key="booking 7")
    assert [chunk.partition for chunk in page.chunks] == [partition_of("demo", "booking 7", 24)]
    assert page.planned_count == MAX_CHUNK


people = st.lists(
    st.tuples(
        st.none() | st.integers(1, 30), st.none() | st.integers(600_000_000, 600_000_020).map(lambda n: f"+48{n}")
    ),
    min_size=1,
    max_size=60,
)
contacts = st.dictionaries(
    st.integers(1, 30), st.none() | st.integers(600_000_000, 600_000_020).map(lambda n: f"+48{n}"), max_size=30
)


@given(people, contacts, st.integers(0, 5_000), st.integers(1, 40))
def test_every_number_is_answered_exactly_once(
    someone: list[tuple[int | None, str | None]], known: dict[int, str | None], first: int, gap: int
) -> None:
    asked = recipients(*((first + gap * index, *one) for index, one in enumerate(someone)))
    page = plan(asked, known, channel=Channel.SMS)
    numbers = [number for chunk in (*page.chunks, *page.suppressed) for number in chunk.numbers or ()]
    assert Counter(numbers) == Counter(asked.numbers)
    addresses = [address for chunk in page.chunks for address in chunk.addresses]
    assert len(set(addresses)) == len(addresses)
    reachable = {
        address for client_id, given in someone if (address := given if client_id is None else known.get(client_id))
    }
    assert set(addresses) == reachable
    clients = [client_id for chunk in page.chunks for client_id in chunk.client_ids if client_id is not None]
    assert len(set(clients)) == len(clients)
    partitions = [chunk.partition for chunk in page.chunks]
    assert partitions == sorted(set(partitions))
    for chunk in page.chunks:
        assert chunk.numbers is not None
        assert list(chunk.numbers) == sorted(chunk.numbers)
        assert chunk.first_number == chunk.numbers[0]
        assert {partition_of("demo", address, 24) for address in chunk.addresses} == {chunk.partition}
    assert page.planned_count + page.suppressed_count == page.next_number - page.first_number
    # What is stored says the same again.
    assert unpack(pack(page), first_number=page.first_number, next_number=page.next_number, next_cursor=None) == page


def test_of_a_cancelled_notification_nobody_is_on_the_page(ask: Callable[..., ExpandAudience]) -> None:
    page = closed_page(ask([1, 2]).model_copy(update={"page": 1, "cursor": "11000", "next_number": 11_000}))
    assert page == PagePlan(11_000, 11_000, None, (), ())


def test_of_a_cancelled_fallback_everybody_is_told_off(ask: Callable[..., ExpandAudience]) -> None:
    page = closed_page(ask([1], recipients=recipients((4, 7, None), (9, None, ANNA)), step=1))
    assert left(page) == {4: Rule.CANCELLED, 9: Rule.CANCELLED}
    assert (page.planned_count, page.suppressed_count, page.next_cursor) == (0, 2, None)
