"""What a phone number is: tables, and phonenumbers itself as the judge of the quick way."""

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from libs.phones import MAX_WRITTEN, e164, is_plain

COUNTRY_CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        ("+48600123456", None, "+48600123456"),
        ("+48 600 123 456", None, "+48600123456"),
        ("+375 (29) 123-45-67", None, "+375291234567"),
        ("+1 (202) 555-0123", None, "+12025550123"),
        ("tel:+1-201-555-0123", None, "+12015550123"),
        ("0048 600-123-456", None, "+48600123456"),
        ("0048600123456", "US", "+48600123456"),
        ("600 123 456", "PL", "+48600123456"),
        ("8 (912) 345-67-89", "RU", "+79123456789"),
        ("+78005553535", None, "+78005553535"),
        ("+80012345678", None, "+80012345678"),  # a freephone number of no country
        ("+44 (0)7911 123456", None, "+447911123456"),
        ("+4407911123456", None, "+447911123456"),
        ("+49 0151 23456789", None, "+4915123456789"),
        ("+48 0600 123 456", None, "+480600123456"),  # nothing is dialled before Polish numbers, some have ten digits
        ("+39 02 1234 5678", None, "+390212345678"),  # a zero that Italy writes out
        ("+2250123456789", None, "+2250123456789"),
        ("+5491123456789", None, "+5491123456789"),
        ("+48199123456", None, "+48199123456"),  # no such range, but who knows from when on
        ("+４８600100200", None, "+48600100200"),
        ("+٤٨٦٠٠١٠٠٢٠٠", None, "+48600100200"),
        ("600123456", None, None),
        ("+48600", None, None),
        ("+4850123456789", None, None),
        ("+999123456789", None, None),
        ("+4860012345678901234", None, None),
        ("+81" + "1" * 17, None, None),  # dialled in Japan, too long for E.164
        ("+49 12", None, None),
        ("+48600100200 ext. 5", None, None),
        ("+48600100200;ext=5", None, None),
        ("+48600100200, +48600100201", None, None),
        ("+48600100200 / +48600100201", None, None),
        ("+48600100200" + " " * MAX_WRITTEN, None, None),
        ("+0600100200", None, None),
        ("+4300000000000", None, None),
        ("hello", "PL", None),
        ("a@example.org", None, None),
        ("", None, None),
        ("+", None, None),
        ("00", None, None),
        ("\0", None, None),
        ("\ud800", None, None),
        ("٤٨٦٠٠١٢٣٤٥٦", None, None),
    ],
)
def test_a_number_as_people_write_it(text: str, region: str | None, expected: str | None) -> None:
    assert e164(text, region) == expected


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("+48600123456", True),
        ("+2250123456789", True),  # its zero belongs to it
        ("+5491123456789", True),
        ("+48 600123456", False),
        ("+4915123456789", True),
        ("+49015123456789", False),
        ("+78005553535", False),  # 8 is also what is dialled before a number within Russia
        ("+48600", False),
        ("+999123456789", False),
        ("+48600123456\n", False),
        ("0048600123456", False),
        ("+４８600100200", False),
        ("", False),
    ],
)
def test_what_needs_no_understanding(text: str, plain: bool) -> None:
    assert is_plain(text) == plain


def example_numbers() -> list[tuple[str, phonenumbers.PhoneNumber]]:
    regions = sorted(phonenumbers.SUPPORTED_REGIONS)
    found = [(region, phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)) for region in regions]
    return [(region, number) for region, number in found if number is not None]


def test_a_mobile_number_of_any_country_is_plain_and_understood_however_written() -> None:
    numbers = example_numbers()
    assert len(numbers) > 200
    for region, number in numbers:
        plain = phonenumbers.format_number(number, PhoneNumberFormat.E164)
        national, international = (
            phonenumbers.format_number(number, form)
            for form in (PhoneNumberFormat.NATIONAL, PhoneNumberFormat.INTERNATIONAL)
        )
        assert is_plain(plain)
        assert (e164(international), e164(national, region), e164("00" + plain[1:])) == (plain, plain, plain)


def by_the_book(text: str) -> str | None:
    """phonenumbers alone: the country code exists there and so does the length."""
    try:
        parsed = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)


# What is dialled within a country only begins with few digits: random ones alone would seldom meet it.
_digits = st.sampled_from(["0123456789", "01", "08", "89", "01579"]).flatmap(
    lambda alphabet: st.text(alphabet, min_size=3, max_size=13)
)
digit_strings = st.builds("+{}{}".format, st.sampled_from(COUNTRY_CODES) | st.integers(1, 999), _digits)


@given(digit_strings)
@example("+8617911123456")  # a carrier's code, where China has numbers of both lengths
@example("+861201234567")
@example("+240060312345")
@example("+5411151234567")
@example("+430019703269")
def test_the_quick_way_says_what_phonenumbers_says(text: str) -> None:
    if is_plain(text):
        assert by_the_book(text) == text
    found = e164(text)
    if found is not None:
        assert by_the_book(text) == found
        assert e164(found) == found
    else:
        refused = by_the_book(text)
        # Too long or too short for E.164, or itself no number when it is read again.
        assert refused is None or not 8 <= len(refused) <= 16 or by_the_book(refused) != refused


@given(
    st.text(max_size=60) | st.text("+0123456789 ()-.;/xtel:", max_size=45), st.sampled_from([None, "PL", "US", "RU"])
)
def test_any_text_is_a_number_or_none(text: str, region: str | None) -> None:
    found = e164(text, region)
    assert found is None or e164(found) == found
