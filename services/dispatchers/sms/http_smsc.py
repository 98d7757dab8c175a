"""An SMSC over HTTP: POST {url}/smsc/messages takes up to 100 messages and answers one result for each; POST
{url}/smsc/messages/query tells what became of up to 100 references."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from json.encoder import encode_basestring as quoted
from typing import ClassVar

from libs.contracts.content import SmsContent
from libs.contracts.outcomes import (
    Accepted,
    Ambiguous,
    Outcome,
    OutOfFunds,
    Permanent,
    Throttled,
    Transient,
)
from libs.contracts.states import DeliveryState
from libs.wire import HttpRequest, HttpResponse, JsonValue
from services.dispatchers.account import Account
from services.dispatchers.carrier_json import (
    MAX_ID,
    UNREADABLE,
    by_name,
    instant,
    is_id,
    listed,
    outcomes_in,
    reports_in,
    word,
)
from services.dispatchers.provider import NOT_KNOWN, Answer, Outbound, Report, Reports

STATES: Mapping[str, DeliveryState] = {
    "on_phone": DeliveryState.ON_PHONE,
    "delivered": DeliveryState.DELIVERED,
    "undelivered": DeliveryState.NOT_DELIVERED,
    "rejected": DeliveryState.CARRIER_REJECTED,
}


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
        for reference, to, own, _ in messages:
            if own is not content:
                if not isinstance(own, SmsContent):
                    raise TypeError(f"{own.kind} content on an SMS route")
                content, words = own, f'"from":{quoted(own.sender or self._sender)},"text":{quoted(own.text)}}}'
            parts.append(f'{{"reference":"{reference}","to":{quoted(to)},{words}')
        body = f"{self._head}{','.join(parts)}]}}"
        return HttpRequest("POST", headers=self._headers, body=body.encode(), url=self._url)

    def outcomes(self, response: HttpResponse, references: Sequence[str]) -> Sequence[Outcome]:
        """An outcome for each, in their order."""
        return outcomes_in(response, references, key="reference", read=_outcome)

    def query(self, references: Sequence[str]) -> HttpRequest:
        """Ask what became of messages, by our references."""
        body = json.dumps({"references": list(references)}).encode()
        return HttpRequest("POST", headers=self._headers, body=body, url=f"{self._url}/query")

    def answers(self, response: HttpResponse, references: Sequence[str]) -> Sequence[Answer]:
        """Only a clear word counts: what it does not mention it may have all the same."""
        results = listed(response.body, "results") if response.status == 200 else None
        if results is None:
            return [Ambiguous(f"no answer to a query: http {response.status}")] * len(references)
        found = by_name(results, "reference")
        return [_answer(found.get(reference)) for reference in references]

    def receipts(self, callback: HttpRequest) -> Reports:
        """The reports of a callback."""
        return reports_in(callback.body, "reports", _report)


def _outcome(result: dict[str, JsonValue]) -> Outcome:  # noqa: PLR0911 - a line a case
    given = result.get("id")
    if result.get("status") == "accepted" and isinstance(given, str) and is_id(given):
        return Accepted(given)
    match result:
        case {"status": "accepted"}:
            return Accepted(word(result.get("id"), "", longest=MAX_ID))
        case {"status": "rejected", "code": "no_funds"}:
            return OutOfFunds("the carrier has no funds of ours")
        case {"status": "rejected"}:
            return Permanent(word(result.get("code"), "rejected"))
        case {"status": "throttled", "retry_after": (int() | float()) as seconds} if 0 <= seconds < 10**9:
            return Throttled("throttled", timedelta(seconds=seconds))
        case {"status": "throttled"}:
            return Throttled("throttled")
        case {"status": "failed"}:
            return Transient(word(result.get("code"), "failed"))
        case _:
            return UNREADABLE


def _answer(result: dict[str, JsonValue] | None) -> Answer:
    match result:
        case {"status": "accepted", "id": str() as given} if is_id(given):
            return Accepted(given)
        case {"status": "unknown"}:
            return NOT_KNOWN
        case _:
            return Ambiguous("unclear answer to a query")


def _report(value: JsonValue) -> Report | None:
    if not isinstance(value, dict):
        return None
    match value:
        case {"id": str() as given, "status": str() as status, "at": str() as at} if is_id(given):
            state, reported_at = STATES.get(status), instant(at)
            if state and reported_at:
                return Report(given, state, word(value.get("code"), ""), reported_at)
    return None
