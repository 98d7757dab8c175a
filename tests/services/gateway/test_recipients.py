"""Phone numbers: the quick check says what phonenumbers says."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.faults import Fault
from services.gateway.recipients import phone_numbers


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("+48501234567", "+48501234567"),
        ("+48 501 234 567", "+48501234567"),
        ("+375 (29) 123-45-67", "+375291234567"),
        ("+44 (0)7911 123456", "+447911123456"),
        ("+4407911123456", "+447911123456"),
        ("+39 02 1234 5678", "+390212345678"),
        ("+12025550123", "+12025550123"),
        ("+80012345678", "+80012345678"),
    ],
)
def test_what_is_meant(written: str, meant: str) -> None:
    assert phone_numbers([written]).addresses == (meant,)


def by_the_book(number: str) -> str | None:
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


@given(st.from_regex(r"\+(1|7|39|44|48|49|33|34|375|380|420|800|999)[0-9]{5,12}", fullmatch=True))
def test_as_phonenumbers_understands_it(number: str) -> None:
    try:
        understood: str | None = phone_numbers([number]).addresses[0]
    except Fault:
        understood = None
    assert understood == by_the_book(number)
