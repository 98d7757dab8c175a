"""Viber business messages over HTTP: POST {url}/viber/messages takes up to 100 and answers one result for each.

{"report_to": URL, "messages": [{"key": 32 hex digits, "phone": "+48...", "sender", "text",
                                 "image"?: URL, "button"?: {"text", "url"}}]}
-> {"results": [{"key", "state": "queued", "message_id"}
                | {"key", "state": "refused", "reason"} | {"key", "state": "busy", "wait": seconds}
                | {"key", "state": "error", "reason"}]}
Events: {"events": [{"message_id", "event", "at": ISO 8601, "reason"?}]}
"""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

from libs.contracts.content import ViberContent
from libs.contracts.outcomes import Accepted, Outcome, OutOfFunds, Permanent, Throttled, Transient
from libs.contracts.states import DeliveryState
from libs.wire import HttpRequest, HttpResponse, JsonValue
from services.dispatchers.account import Account
from services.dispatchers.carrier_json import UNREADABLE, instant, is_id, outcomes_in, reports_in, word
from services.dispatchers.provider import Outbound, Report, Reports

# What was seen was delivered: nothing beyond that is asked of a message.
STATES: Mapping[str, DeliveryState] = {
    "on_device": DeliveryState.ON_PHONE,
    "delivered": DeliveryState.DELIVERED,
    "seen": DeliveryState.DELIVERED,
    "undelivered": DeliveryState.NOT_DELIVERED,
    "expired": DeliveryState.NOT_DELIVERED,
    "blocked": DeliveryState.CARRIER_REJECTED,
}


class HttpViber:
    """Pure translation; the key makes a repeated submit harmless where the carrier honours it."""

    name: ClassVar[str] = "http_viber"
    batch: ClassVar[int] = 100

    def __init__(self, account: Account) -> None:
        self._url = account.url.rstrip("/") + "/viber/messages"
        self._headers = {
            "authorization": f"Bearer {account.key.get_secret_value()}",
            "content-type": "application/json",
        }
        self._head = f'{{"report_to":{_json(account.callback_url.get_secret_value())},"messages":['
        self._sender = account.sender

    def request(self, messages: Sequence[Outbound]) -> HttpRequest:
        """The common words are written once for all messages that share them."""
        parts: list[str] = []
        content, words = None, ""
        for message in messages:
            if message.content is not content:
                content, words = message.content, self._words(message)
            parts.append(f'{{"key":"{message.reference}","phone":{_json(message.to)},{words}')
        body = f"{self._head}{','.join(parts)}]}}"
        return HttpRequest("POST", headers=self._headers, body=body.encode(), url=self._url)

    def outcomes(self, response: HttpResponse, references: Sequence[str]) -> Sequence[Outcome]:
        """An outcome for each, in their order."""
        return outcomes_in(response, references, key="key", read=_outcome)

    def receipts(self, callback: HttpRequest) -> Reports:
        """The events of a callback."""
        return reports_in(callback.body, "events", _report)

    def _words(self, message: Outbound) -> str:
        """The end of a message's object: what it has in common with others."""
        content = message.content
        if not isinstance(content, ViberContent):
            raise TypeError(f"{content.kind} content on a Viber route")
        common: dict[str, JsonValue] = {"sender": content.sender or self._sender, "text": content.text}
        if content.image_url:
            common["image"] = content.image_url
        if content.button_text and content.button_url:
            common["button"] = {"text": content.button_text, "url": content.button_url}
        return _json(common)[1:]


def _json(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _outcome(result: dict[str, JsonValue]) -> Outcome:  # noqa: PLR0911 - a line a case
    match result:
        case {"state": "queued"}:
            given = result.get("message_id")
            return Accepted(given if isinstance(given, str) and is_id(given) else "")
        case {"state": "refused", "reason": "no_funds"}:
            return OutOfFunds("the carrier has no funds of ours")
        case {"state": "refused"}:
            return Permanent(word(result.get("reason"), "refused"))
        case {"state": "busy", "wait": (int() | float()) as seconds} if 0 <= seconds < 10**9:
            return Throttled("busy", timedelta(seconds=seconds))
        case {"state": "busy"}:
            return Throttled("busy")
        case {"state": "error"}:
            return Transient(word(result.get("reason"), "error"))
        case _:
            return UNREADABLE


def _report(event: JsonValue) -> Report | None:
    if not isinstance(event, dict):
        return None
    match event:
        case {"message_id": str() as given, "event": str() as name, "at": str() as at} if is_id(given):
            state, reported_at = STATES.get(name), instant(at)
            if state and reported_at:
                return Report(given, state, word(event.get("reason"), name), reported_at)
    return None
