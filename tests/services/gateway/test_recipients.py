"""Who is listed: the numbers themselves are libs.phones's."""

import pytest

from libs.phones import MAX_FORMATTED
from services.gateway.faults import Fault
from services.gateway.recipients import phone_numbers


def test_a_number_stands_once_however_it_is_written() -> None:
    listed = ["+48 501 234 567", "+375291234567", "+48501234567", "0048501234567"]
    assert phone_numbers(listed).addresses == ("+48501234567", "+375291234567")


@pytest.mark.parametrize("item", ["hello", "502234567", "+48502", "+999502234567", "+48502234567 ext. 5", 48502234567])
def test_the_entry_that_is_no_number_is_named_and_not_repeated(item: str | int) -> None:
    with pytest.raises(Fault, match="entry 1 with its country code") as caught:
        phone_numbers(["+48501234567", item])
    assert str(item) not in str(caught.value)


def test_only_so_many_may_need_understanding() -> None:
    formatted = [f"+48 501 {number:06}" for number in range(MAX_FORMATTED + 1)]
    plain = [f"+48502{number:06}" for number in range(2 * MAX_FORMATTED)]
    assert len(phone_numbers(plain + formatted[1:]).addresses) == 3 * MAX_FORMATTED
    with pytest.raises(Fault, match="more than 1000 formatted"):
        phone_numbers(plain + formatted)
