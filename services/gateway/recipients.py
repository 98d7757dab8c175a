"""Who is listed in a request: client ids, phone numbers, URLs."""

from libs.contracts.audience import MAX_LISTED, Addresses, ClientIds
from libs.outbound_urls import MAX_URL
from libs.phones import MAX_FORMATTED, e164, is_plain
from libs.wire import JsonValue
from services.gateway.faults import Fault

MAX_ID = 2**63 - 1
# Above it a JSON number with a fraction can no longer tell neighbouring integers apart.
MAX_EXACT_FLOAT = 2**53
# Each is taken apart and checked, some 20 us, while other requests wait.
MAX_URLS = 1_000


def client_ids(value: JsonValue) -> ClientIds:
    """People by id: each once, in the order of their first mention. Raises Fault.

    1 to 100,000 listed, repetitions counted; whole numbers from 0 to 2^63-1. `1.0` is taken for 1, since JSON has but
    one kind of number.
    """
    listed = _listed(value, "client ids")
    whole = tuple(dict.fromkeys(_client_id(item, position) for position, item in enumerate(listed)))
    return ClientIds(client_ids=whole)


def phone_numbers(value: JsonValue) -> Addresses:
    """Phone numbers in E.164, as libs.phones understands them: each once, in the order of their first mention. Raises
    Fault."""
    listed = _listed(value, "phone numbers")
    formatted = 0
    numbers: dict[str, None] = {}
    for position, item in enumerate(listed):
        if isinstance(item, str) and is_plain(item):
            numbers[item] = None
            continue
        formatted += 1
        if formatted > MAX_FORMATTED:
            raise Fault(f"holds more than {MAX_FORMATTED} formatted numbers. Write them as +48501234567.")
        numbers[_phone_number(item, position)] = None
    return Addresses(addresses=tuple(numbers))


def urls(value: JsonValue) -> Addresses:
    """URLs that a webhook is posted to: each once, in the order of their first mention. Raises Fault. Whether the
    platform may call them is decided by destinations.py, which knows the tenant."""
    listed = _listed(value, "URLs", MAX_URLS)
    for position, item in enumerate(listed):
        if not isinstance(item, str) or not 0 < len(item) <= MAX_URL:
            raise Fault(f"must hold URLs of at most {MAX_URL} characters. Look at entry {position}.")
    return Addresses(addresses=tuple(dict.fromkeys(map(str, listed))))


def url(value: JsonValue) -> str:
    """A single one. Raises Fault."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_URL:
        raise Fault(f"must be a URL of at most {MAX_URL} characters, such as https://example.com/hook.")
    return value


def _listed(value: JsonValue, what: str, most: int = MAX_LISTED) -> list[JsonValue]:
    if value is None:
        raise Fault(f"is missing. Send an array of {what}.")
    if not isinstance(value, list):
        raise Fault(f"must be an array of {what}.")
    if not value:
        raise Fault(f"is empty. List at least one of the {what}.")
    if len(value) > most:
        raise Fault(f"lists {len(value)} entries. Send at most {most} {what} in one call.")
    return value


def _client_id(item: JsonValue, position: int) -> int:
    if type(item) is float and item.is_integer() and abs(item) <= MAX_EXACT_FLOAT:
        item = int(item)
    if type(item) is not int:
        raise Fault(f"must hold whole numbers only. Look at entry {position}.")
    if not 0 <= item <= MAX_ID:
        raise Fault(f"must hold ids from 0 to {MAX_ID}. Look at entry {position}.")
    return item


def _phone_number(item: JsonValue, position: int) -> str:
    advice = f"Write entry {position} with its country code, as +48501234567."
    if not isinstance(item, str):
        raise Fault(f"must hold phone numbers. {advice}")
    number = e164(item)
    if number is None:
        raise Fault(f"holds what is no phone number, or one of a length that its country does not have. {advice}")
    return number
