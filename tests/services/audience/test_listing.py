"""Where pages begin and end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.audience import Addresses, ClientIds
from services.audience.listing import Page, listed, page_at


def pages(whole_audience: ClientIds | Addresses, size: int) -> list[Page]:
    whole, found = listed(whole_audience), []
    cursor = None
    while True:
        found.append(page_at(whole, cursor, size=size))
        cursor = found[-1].next_cursor
        if cursor is None:
            return found


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.integers(1, 20))
def test_the_pages_are_the_list_and_every_repetition_is_known(entries: list[int], size: int) -> None:
    found = pages(ClientIds(client_ids=tuple(entries)), size)
    assert [client_id for page in found for client_id in page.client_ids] == entries
    assert all(1 <= len(page.client_ids) <= size for page in found)
    assert all(page.next_cursor == str((index + 1) * size) for index, page in enumerate(found[:-1]))
    first_times = [
        client_id for page in found for index, client_id in enumerate(page.client_ids) if index not in page.repeated
    ]
    assert first_times == list(dict.fromkeys(entries))


def test_addresses_make_pages_too() -> None:
    first, last = pages(Addresses(addresses=("+48600000001", "+48600000002", "+48600000001")), 2)
    assert (first.addresses, first.repeated, first.next_cursor) == (("+48600000001", "+48600000002"), frozenset(), "2")
    assert (last.addresses, last.repeated, last.next_cursor) == (("+48600000001",), {0}, None)
    assert not first.client_ids


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "²", "3", "99999999999999999999"])
def test_a_cursor_that_is_no_position_in_the_list_is_refused(cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        page_at(listed(ClientIds(client_ids=(1, 2, 3))), cursor)
