"""Reading what carriers over HTTP answer and report: JSON of somebody else's making, taken without trust."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from libs.contracts.outcomes import Ambiguous, Misconfigured, Outcome, Permanent, Throttled, Transient
from libs.wire import HttpResponse, JsonValue
from services.dispatchers.provider import Report, Reports, retry_after

MISSING = Ambiguous("no result for this message")
UNREADABLE = Ambiguous("unreadable answer")
MAX_ID = 128
MAX_CODE = 64
MAX_REPORTS = 1000


def refusal(response: HttpResponse) -> Outcome:  # noqa: PLR0911 - a line a case
    """What an answer that is no result means for every message of the request."""
    reason = f"http {response.status}"
    match response.status:
        case 401 | 403:
            return Misconfigured(reason)
        case 429:
            return Throttled(reason, retry_after(response.headers))
        case 400 | 413 | 422:
            return Permanent(reason)
        case 502 | 504:
            return Ambiguous(reason)  # a proxy speaks: what is behind it may have taken the messages
        case 503 if delay := retry_after(response.headers):
            return Throttled(reason, delay)
        case status if status >= 500 or status == 408:
            return Transient(reason)
        case _:
            return Misconfigured(reason)  # a redirect, a path that is not there: the address is wrong


def outcomes_in(
    response: HttpResponse, references: Sequence[str], *, key: str, read: Callable[[dict[str, JsonValue]], Outcome]
) -> Sequence[Outcome]:
    """An outcome for each reference. `results` are matched by what stands under `key`, so that a missing or misplaced
    one harms no other."""
    if not 200 <= response.status < 300:
        return [refusal(response)] * len(references)
    results = listed(response.body, "results")
    if results is None:
        return [UNREADABLE] * len(references)
    found = by_name(results, key)
    return [read(found[reference]) if reference in found else MISSING for reference in references]


def reports_in(body: bytes, name: str, read: Callable[[JsonValue], Report | None]) -> Reports:
    """What a callback tells in its list `name`; one bad report does not cost its neighbours. Raises ValueError for a
    body without such a list, or with too long a one."""
    told = listed(body, name)
    if told is None or len(told) > MAX_REPORTS:
        raise ValueError(f"not a list of at most {MAX_REPORTS} {name}")
    understood = [report for value in told if (report := read(value))]
    return Reports(understood, ignored=len(told) - len(understood))


def parsed(body: bytes) -> JsonValue:
    """None for what is no JSON."""
    try:
        value: JsonValue = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value


def listed(body: bytes, name: str) -> list[JsonValue] | None:
    """The list that stands under `name`; none when the body holds no such list."""
    value = parsed(body)
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, list) else None


def by_name(results: list[JsonValue], name: str) -> dict[str, dict[str, JsonValue]]:
    """The objects of a list by the text they have under `name`; of two with one text the first counts."""
    found: dict[str, dict[str, JsonValue]] = {}
    for result in results:
        if isinstance(result, dict) and isinstance(text := result.get(name), str):
            found.setdefault(text, result)
    return found


def is_id(text: str) -> bool:
    """Whether it can be kept as a carrier's message id."""
    return 0 < len(text) <= MAX_ID and text.isprintable()


def word(value: JsonValue, default: str, *, longest: int = MAX_CODE) -> str:
    """A carrier's own word, short and printable (which leaves out NUL and lone surrogates)."""
    text = str(value) if isinstance(value, str | int) else ""
    return text if text.isprintable() and 0 < len(text) <= longest else default


def instant(text: str) -> datetime | None:
    """An instant in ISO 8601, UTC where it does not say; none for anything else."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
