"""Who is listed in a request: client ids and phone numbers."""

import re
from functools import cache

import phonenumbers

from libs.contracts.audience import MAX_LISTED, Addresses, ClientIds
from libs.wire import JsonValue
from services.gateway.faults import Fault

MAX_ID = 2**63 - 1
# Above it a JSON number with a fraction can no longer tell neighbouring integers apart.
MAX_EXACT_FLOAT = 2**53
# A number that is not plain E.164 costs 50 us to understand; more of them would hold up everybody else's requests.
MAX_FORMATTED = 1_000

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_FORMATTED = re.compile(r"\+[0-9 ().\-/]{6,40}")


def client_ids(value: JsonValue) -> ClientIds:
    """People by id: each once, in the order of their first mention. Raises Fault.

    1 to 100,000 listed, repetitions counted; whole numbers from 0 to 2^63-1. `1.0` is taken for 1, since JSON has but
    one kind of number.
    """
    listed = _listed(value, "client ids")
    whole = tuple(dict.fromkeys(_client_id(item, position) for position, item in enumerate(listed)))
    return ClientIds(client_ids=whole)


def phone_numbers(value: JsonValue) -> Addresses:
    """Phone numbers in E.164: each once, in the order of their first mention. Raises Fault.

    Spaces, brackets, dots and dashes are taken out. What is checked is the country code and the length, as
    phonenumbers knows them: its lists of number ranges lag behind the carriers'.
    """
    listed = _listed(value, "phone numbers")
    formatted = 0
    numbers: dict[str, None] = {}
    for position, item in enumerate(listed):
        number = item if isinstance(item, str) and _is_plain(item) else None
        if number is None:
            formatted += 1
            if formatted > MAX_FORMATTED:
                raise Fault(f"holds more than {MAX_FORMATTED} formatted numbers. Write them as +48501234567.")
            number = _understand(item, position)
        numbers[number] = None
    return Addresses(addresses=tuple(numbers))


def _listed(value: JsonValue, what: str) -> list[JsonValue]:
    if value is None:
        raise Fault(f"is missing. Send an array of {what}.")
    if not isinstance(value, list):
        raise Fault(f"must be an array of {what}.")
    if not value:
        raise Fault(f"is empty. List at least one of the {what}.")
    if len(value) > MAX_LISTED:
        raise Fault(f"lists {len(value)} entries. Send at most {MAX_LISTED} {what} in one call.")
    return value


def _client_id(item: JsonValue, position: int) -> int:
    if type(item) is float and item.is_integer() and abs(item) <= MAX_EXACT_FLOAT:
        item = int(item)
    if type(item) is not int:
        raise Fault(f"must hold whole numbers only. Look at entry {position}.")
    if not 0 <= item <= MAX_ID:
        raise Fault(f"must hold ids from 0 to {MAX_ID}. Look at entry {position}.")
    return item


@cache
def _lengths(country_code: int) -> frozenset[int]:
    """How many digits may follow a country code; none for a code that nobody has."""
    region = phonenumbers.region_code_for_country_code(country_code)
    metadata = (
        phonenumbers.PhoneMetadata.metadata_for_nongeo_region(country_code)
        if region == phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY
        else phonenumbers.PhoneMetadata.metadata_for_region(region)
    )
    described = metadata.general_desc if metadata else None
    return frozenset(described.possible_length) if described else frozenset()


def _is_plain(number: str) -> bool:
    """Whether it is E.164 of a possible length: the check of phonenumbers, without its 50 us of parsing. A zero behind
    the country code may be one that is dialled within the country only: that needs the parsing."""
    if not _E164.fullmatch(number):
        return False
    for digits in (1, 2, 3):
        lengths = _lengths(int(number[1 : 1 + digits]))
        if lengths:
            return len(number) - 1 - digits in lengths and number[1 + digits] != "0"
    return False


def _understand(item: JsonValue, position: int) -> str:
    advice = f"Write entry {position} with its country code, as +48501234567."
    if not isinstance(item, str) or not _FORMATTED.fullmatch(item):
        raise Fault(f"must hold phone numbers. {advice}")
    try:
        number = phonenumbers.parse(item)
    except phonenumbers.NumberParseException as error:
        raise Fault(f"holds what is no phone number. {advice}") from error
    if not phonenumbers.is_possible_number(number):
        raise Fault(f"holds a number of a length that its country does not have. {advice}")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
