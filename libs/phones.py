"""What a phone number is. Whoever takes numbers in asks here, so that all of them mean the same."""

import re
from dataclasses import dataclass
from functools import cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneMetadata, PhoneNumberFormat

# One that is not plain costs 50 us to understand, forty times a plain one. More of them in one list would hold up
# everybody else's requests.
MAX_FORMATTED = 1_000
# 15 digits, a separator around each, and room. phonenumbers takes 30 ms for 250 characters that are mostly spaces.
MAX_WRITTEN = 40

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_MOST_COUNTRY_DIGITS = 3


def e164(text: str, region: str | None = None) -> str | None:
    """The number in E.164, or none when its country code does not exist or has no numbers of that length.

    Ranges within a country are not checked: lists of them lag behind the carriers. Text is read as generously as
    phonenumbers reads it; 00 stands for +, and one with neither is dialled within `region`, an ISO 3166-1 code. A
    number with an extension is none: no message reaches an extension.
    """
    return text if is_plain(text) else _understood(text, region)


def is_plain(text: str) -> bool:
    """Whether `e164` gives the text back as it is and at once, without understanding it: most of a long list."""
    if not _E164.fullmatch(text):
        return False
    for digits in range(1, _MOST_COUNTRY_DIGITS + 1):
        country = _country(text[1 : 1 + digits])
        if country is not None:
            return len(text) - 1 - digits in country.lengths and not country.has_prefix(text[1 + digits :])
    return False


@dataclass(frozen=True, slots=True)
class _Country:
    """How many digits follow a country code, and what they begin with when they may not all be meant to stand there:
    a zero or a carrier's code that is dialled within the country only. In some countries nothing is."""

    lengths: frozenset[int]
    prefix: re.Pattern[str] | None

    def has_prefix(self, national: str) -> bool:
        found = self.prefix.match(national) if self.prefix else None
        return found is not None and found[0] != ""


@cache
def _country(code: str) -> _Country | None:
    region = phonenumbers.region_code_for_country_code(int(code))
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(int(code), region)
    if metadata is None or metadata.general_desc is None:
        return None
    prefix = metadata.national_prefix_for_parsing
    return _Country(frozenset(metadata.general_desc.possible_length), re.compile(prefix) if prefix else None)


def _understood(text: str, region: str | None) -> str | None:
    found = _parsed("+" + text[2:] if text.startswith("00") else text, region)
    if found is None or is_plain(found):
        return found
    # After one zero that was not meant another may follow. What is no number as it is given back was none before.
    return found if _parsed(found) == found else None


def _parsed(text: str, region: str | None = None) -> str | None:
    if len(text) > MAX_WRITTEN:
        return None
    try:
        number = phonenumbers.parse(text, region)
    except NumberParseException:
        return None
    if number.extension or not phonenumbers.is_possible_number(number):
        return None
    found = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    # Some countries have services of more digits than E.164 allows, or numbers of a few for neighbours only.
    return found if _E164.fullmatch(found) else None
