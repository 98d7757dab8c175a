"""Who gets a message, and how the page is numbered and cut."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.audience import Addresses, ClientIds
from libs.contracts.commands import MAX_CHUNK
from libs.contracts.routing import Channel, partition_of
from services.audience.listing import listed, page_at
from services.audience.packing import pack, pack_addresses, unpack, unpack_addresses
from services.audience.planning import Choice, PagePlan, Rule, address_key, choose, plan_page

ANNA, JAN = "+48600000001", "+48600000002"


def choice_of(
    audience: ClientIds | Addresses, contacts: dict[int, str | None], taken: set[int] | None = None
) -> Choice:
    return choose(page_at(listed(audience), None), Channel.SMS, contacts, taken or set())


def plan(choice: Choice, *, first_number: int = 0, partitions: int = 24, ordering_key: str | None = None) -> PagePlan:
    return plan_page(
        choice,
        tenant="demo",
        ordering_key=ordering_key,
        partitions=partitions,
        first_number=first_number,
        next_cursor=None,
    )


@pytest.mark.parametrize(
    ("asked", "contacts", "taken", "planned", "left"),
    [
        pytest.param((1,), {1: ANNA}, (), {1: ANNA}, {}, id="known, with a phone"),
        pytest.param((1,), {}, (), {}, {1: Rule.UNKNOWN_CLIENT}, id="unknown"),
        pytest.param((1,), {1: None}, (), {}, {1: Rule.NO_PHONE}, id="known, without a phone"),
        pytest.param((1, 2), {1: ANNA, 2: ANNA}, (), {1: ANNA}, {2: Rule.DUPLICATE_ADDRESS}, id="two share a phone"),
        pytest.param(
            (2, 1), {1: ANNA, 2: ANNA}, (), {2: ANNA}, {1: Rule.DUPLICATE_ADDRESS}, id="the first one gets it"
        ),
        pytest.param((1,), {1: ANNA}, (ANNA,), {}, {1: Rule.DUPLICATE_ADDRESS}, id="an earlier page planned the phone"),
        pytest.param((1, 1), {1: ANNA}, (), {1: ANNA}, {1: Rule.DUPLICATE_CLIENT}, id="listed twice"),
        pytest.param((1, 2), {2: JAN}, (), {2: JAN}, {1: Rule.UNKNOWN_CLIENT}, id="one of two is unknown"),
    ],
)
def test_client_ids(
    asked: tuple[int, ...],
    contacts: dict[int, str | None],
    taken: tuple[str, ...],
    planned: dict[int, str],
    left: dict[int, Rule],
) -> None:
    choice = choice_of(ClientIds(client_ids=asked), contacts, {address_key(address) for address in taken})
    assert dict(zip(choice.client_ids, choice.addresses, strict=True)) == planned
    assert dict(zip(choice.left_client_ids, choice.rules, strict=True)) == left


@pytest.mark.parametrize(
    ("asked", "planned", "left"),
    [
        pytest.param((ANNA, JAN), [ANNA, JAN], [], id="two phones"),
        pytest.param((ANNA, JAN, ANNA), [ANNA, JAN], [(ANNA, Rule.DUPLICATE_ADDRESS)], id="one of them twice"),
        pytest.param(("48600000001",), [], [("48600000001", Rule.INVALID_ADDRESS)], id="no plus"),
        pytest.param(("+0123456789",), [], [("+0123456789", Rule.INVALID_ADDRESS)], id="no such country"),
        pytest.param(("+48 600 000 001",), [], [("+48 600 000 001", Rule.INVALID_ADDRESS)], id="not E.164"),
        pytest.param(("+٤٨٦٠٠٠٠٠٠٠١",), [], [("+٤٨٦٠٠٠٠٠٠٠١", Rule.INVALID_ADDRESS)], id="digits of another script"),
        pytest.param((ANNA + "\n",), [], [(ANNA + "\n", Rule.INVALID_ADDRESS)], id="a line break"),
    ],
)
def test_addresses(asked: tuple[str, ...], planned: list[str], left: list[tuple[str, Rule]]) -> None:
    choice = choice_of(Addresses(addresses=asked), {})
    assert (choice.client_ids, choice.addresses) == ([None] * len(planned), planned)
    assert list(zip(choice.left_addresses, choice.rules, strict=True)) == left


phone_numbers = st.integers(48_600_000_000, 48_600_000_030).map(lambda number: f"+{number}")
people = st.dictionaries(st.integers(1, 60), st.none() | phone_numbers, max_size=50)


@given(st.lists(st.integers(1, 70), min_size=1, max_size=120), people, st.sets(phone_numbers, max_size=5), st.data())
def test_every_recipient_is_planned_or_suppressed_exactly_once(
    asked: list[int], contacts: dict[int, str | None], taken: set[str], data: st.DataObject
) -> None:
    first_number = data.draw(st.integers(0, 5_000))
    ordering_key = data.draw(st.none() | st.just("booking 7"))
    choice = choice_of(ClientIds(client_ids=tuple(asked)), contacts, {address_key(address) for address in taken})
    page = plan(choice, first_number=first_number, partitions=6, ordering_key=ordering_key)

    planned = [client_id for chunk in page.chunks for client_id in chunk.client_ids]
    left = [client_id for chunk in page.suppressed for client_id in chunk.client_ids]
    assert Counter(planned + left) == Counter(asked)
    addresses = [address for chunk in page.chunks for address in chunk.addresses]
    assert addresses == [contacts[client_id] for client_id in planned if client_id is not None]
    assert len(set(addresses)) == len(addresses)
    assert not taken & set(addresses)
    assert len(set(planned)) == len(planned)
    # Every address that is not taken goes to somebody.
    reachable = {contacts[client_id] for client_id in asked if contacts.get(client_id)} - taken
    assert reachable == set(addresses)
    _is_well_formed(page, first_number)
    assert page.next_number == first_number + len(asked)


def _is_well_formed(page: PagePlan, first_number: int, key: str | None = None) -> None:
    numbers = [chunk.first_number + index for chunk in page.chunks for index in range(len(chunk.addresses))] + [
        chunk.first_number + index for chunk in page.suppressed for index in range(len(chunk.rules))
    ]
    assert numbers == list(range(first_number, page.next_number))
    assert page.planned_count + page.suppressed_count == page.next_number - page.first_number
    assert all(1 <= len(chunk.addresses) <= MAX_CHUNK for chunk in page.chunks)
    assert all(1 <= len(chunk.rules) <= MAX_CHUNK for chunk in page.suppressed)
    assert [chunk.partition for chunk in page.chunks] == sorted(chunk.partition for chunk in page.chunks)
    for chunk in page.chunks:
        assert len(chunk.client_ids) == len(chunk.addresses)
        assert len(set(chunk.client_ids)) == len(chunk.client_ids) or set(chunk.client_ids) == {None}


@pytest.mark.parametrize("count", [1, 500, 501, 11_000])
def test_a_chunk_is_of_one_partition_and_of_500_at_most(count: int) -> None:
    phones = {client_id: f"+48{600_000_000 + client_id}" for client_id in range(count)}
    page = plan(choice_of(ClientIds(client_ids=tuple(phones)), dict(phones)), first_number=7)
    _is_well_formed(page, 7)
    assert page.planned_count == count
    for chunk in page.chunks:
        assert {partition_of("demo", address, 24) for address in chunk.addresses} == {chunk.partition}
    # Recipients keep the order of the list within their partition.
    assert all(list(chunk.client_ids) == sorted(chunk.client_ids) for chunk in page.chunks)  # type: ignore[type-var]


def test_a_page_is_nearly_one_chunk_a_partition() -> None:
    phones = {client_id: f"+48{600_000_000 + client_id}" for client_id in range(11_000)}
    assert 24 <= len(plan(choice_of(ClientIds(client_ids=tuple(phones)), dict(phones))).chunks) <= 27


def test_an_ordering_key_puts_everybody_on_its_partition() -> None:
    phones = {client_id: f"+48{600_000_000 + client_id}" for client_id in range(1_200)}
    page = plan(choice_of(ClientIds(client_ids=tuple(phones)), dict(phones)), ordering_key="booking 7")
    assert {chunk.partition for chunk in page.chunks} == {partition_of("demo", "booking 7", 24)}
    assert [len(chunk.addresses) for chunk in page.chunks] == [500, 500, 200]


def test_the_suppressed_come_in_chunks_of_500_after_the_planned() -> None:
    ids = tuple(range(1, 1_203))
    page = plan(choice_of(ClientIds(client_ids=ids), {1: ANNA, 2: JAN}))
    assert [len(chunk.rules) for chunk in page.suppressed] == [500, 500, 200]
    assert page.suppressed[0].first_number == 2
    _is_well_formed(page, 0)


@given(st.lists(st.integers(1, 70), min_size=1, max_size=120), people)
def test_what_is_packed_is_unpacked_again(asked: list[int], contacts: dict[int, str | None]) -> None:
    page = plan(choice_of(ClientIds(client_ids=tuple(asked)), contacts), first_number=12)
    again = unpack(
        pack(page), first_number=page.first_number, next_number=page.next_number, next_cursor=page.next_cursor
    )
    assert again == page
    addresses = [address for chunk in page.chunks for address in chunk.addresses]
    assert list(unpack_addresses(pack_addresses(page.chunks))) == [address_key(address) for address in addresses]
