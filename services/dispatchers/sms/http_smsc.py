"""An SMSC over HTTP: POST {url}/smsc/messages takes up to 100 messages and answers one result for each."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from json.encoder import encode_basestring as quoted
from typing import ClassVar

from libs.contracts.outcomes import Accepted, Ambiguous, Misconfigured, Outcome, Permanent, Throttled, Transient
from libs.contracts.states import DeliveryState
from libs.wire import HttpRequest, HttpResponse, JsonValue
from services.dispatchers.provider import Outbound, Report, Reports, retry_after
from services.dispatchers.sms.account import Account

STATES: Mapping[str, DeliveryState] = {
    "on_phone": DeliveryState.ON_PHONE,
    "delivered": DeliveryState.DELIVERED,
    "undelivered": DeliveryState.NOT_DELIVERED,
    "rejected": DeliveryState.CARRIER_REJECTED,
}

MISSING = Ambiguous("no result for this message")
UNREADABLE = Ambiguous("unreadable answer")
MAX_REPORTS = 1000
MAX_ID = 128
MAX_CODE = 64


class HttpSmsc:
    """Pure translation; the reference makes a repeated submit harmless where the carrier honours it."""

    name: ClassVar[str] = "http_smsc"
    batch: ClassVar[int] = 100

    def __init__(self, account: Account) -> None:
        self._url = account.url.rstrip("/") + "/smsc/messages"
        self._headers = {
            "authorization": f"Bearer {account.key.get_secret_value()}",
            "content-type": "application/json",
        }
        self._head = f'{{"callback_url":{quoted(account.callback_url.get_secret_value())},"messages":['
        self._sender = account.sender

    def request(self, messages: Sequence[Outbound]) -> HttpRequest:
        """The common words are written once for all messages that share them."""
        parts: list[str] = []
        content, words = None, ""
        for reference, to, own in messages:
            if own is not content:
                content, words = own, f'"from":{quoted(own.sender or self._sender)},"text":{quoted(own.text)}}}'
            parts.append(f'{{"reference":"{reference}","to":{quoted(to)},{words}')
        body = f"{self._head}{','.join(parts)}]}}"
        return HttpRequest("POST", headers=self._headers, body=body.encode(), url=self._url)

    def outcomes(self, response: HttpResponse, references: Sequence[str]) -> Sequence[Outcome]:
        """Results are matched by reference, so that a missing or misplaced one harms no other."""
        if not 200 <= response.status < 300:
            return [_refusal(response)] * len(references)
        results = _results(response.body)
        if results is None:
            return [UNREADABLE] * len(references)
        return [_outcome(results[reference]) if reference in results else MISSING for reference in references]

    def receipts(self, callback: HttpRequest) -> Reports:
        """One bad report does not cost its neighbours; a body that is no list of reports is refused."""
        body = _parsed(callback.body)
        reports = body.get("reports") if isinstance(body, dict) else None
        if not isinstance(reports, list) or len(reports) > MAX_REPORTS:
            raise ValueError(f"not a list of at most {MAX_REPORTS} reports")
        understood = [report for value in reports if (report := _report(value))]
        return Reports(understood, ignored=len(reports) - len(understood))


def _refusal(response: HttpResponse) -> Outcome:  # noqa: PLR0911 - a line a case
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


def _results(body: bytes) -> dict[str, dict[str, JsonValue]] | None:
    """By reference; the first of two with one reference counts. None when the body is no list of results."""
    answer = _parsed(body)
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list):
        return None
    by_reference: dict[str, dict[str, JsonValue]] = {}
    for result in results:
        if isinstance(result, dict) and isinstance(reference := result.get("reference"), str):
            by_reference.setdefault(reference, result)
    return by_reference


def _outcome(result: dict[str, JsonValue]) -> Outcome:  # noqa: PLR0911 - a line a case
    given = result.get("id")
    if result.get("status") == "accepted" and isinstance(given, str) and _is_id(given):
        return Accepted(given)
    match result:
        case {"status": "accepted"}:
            return Accepted(_text(result.get("id"), "", longest=MAX_ID))
        case {"status": "rejected"}:
            return Permanent(_text(result.get("code"), "rejected"))
        case {"status": "throttled", "retry_after": (int() | float()) as seconds} if 0 <= seconds < 10**9:
            return Throttled("throttled", timedelta(seconds=seconds))
        case {"status": "throttled"}:
            return Throttled("throttled")
        case {"status": "failed"}:
            return Transient(_text(result.get("code"), "failed"))
        case _:
            return UNREADABLE


def _report(value: JsonValue) -> Report | None:
    if not isinstance(value, dict):
        return None
    match value:
        case {"id": str() as given, "status": str() as status, "at": str() as at} if _is_id(given):
            state, reported_at = STATES.get(status), _instant(at)
            if state and reported_at:
                return Report(given, state, _text(value.get("code"), ""), reported_at)
    return None


def _instant(text: str) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _is_id(text: str) -> bool:
    return 0 < len(text) <= MAX_ID and text.isprintable()


def _text(value: JsonValue, default: str, *, longest: int = MAX_CODE) -> str:
    """A carrier's own word, short and printable (which leaves out NUL and lone surrogates)."""
    text = str(value) if isinstance(value, str | int) else ""
    return text if text.isprintable() and 0 < len(text) <= longest else default


def _parsed(body: bytes) -> JsonValue:
    try:
        value: JsonValue = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value
