"""A simulated SMSC over HTTP: takes messages, shows them in the inbox, reports that they were delivered."""

import json
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from libs.contracts.content import MAX_SMS_CHARACTERS
from libs.web import read_body
from libs.wire import JsonValue, Problem, json_bytes
from services.sandbox.reports import Reports
from services.sandbox.repository import Arrival, Inbox

MAX_BODY = 1024 * 1024
MAX_MESSAGES = 100
MAX_SENDER = 32
_REFERENCE = re.compile(r"[0-9a-f]{32}")
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_URL = re.compile(r"https?://[^/\s?#@]+/\S*")


@dataclass(frozen=True, slots=True)
class Submission:
    """A request as it was understood: messages, or the code of what is wrong with one."""

    callback_url: str
    references: Sequence[str]
    messages: Sequence[Arrival | str]


class Smsc:
    """POST /smsc/messages."""

    def __init__(
        self,
        inbox: Inbox,
        reports: Reports,
        *,
        key: str,
        report_delay: float,
        now: Callable[[], datetime],
    ) -> None:
        self._inbox = inbox
        self._reports = reports
        self._authorization = f"Bearer {key}".encode()
        self._report_delay = report_delay
        self._now = now

    def add_to(self, app: web.Application) -> None:
        """Register."""
        app.router.add_post("/smsc/messages", self.post_messages)

    async def post_messages(self, request: web.Request) -> web.Response:
        """Take 1 to 100 messages; a bad one is rejected alone."""
        given = request.headers.get("Authorization", "").encode()
        if not secrets.compare_digest(given, self._authorization):
            raise Problem(401, "unauthorized", "The carrier key is missing or wrong.")
        submission = read_submission(_parsed(await read_body(request, limit=MAX_BODY)))
        good = [message for message in submission.messages if isinstance(message, Arrival)]
        ids = [self._inbox.provider_message_id(number) for number in self._inbox.arrive(good, self._now())]
        if ids:
            self._reports.later(self._report_delay, submission.callback_url, ids, "delivered")
        return web.Response(body=json_bytes({"results": _results(submission, ids)}), content_type="application/json")


def _results(submission: Submission, ids: Sequence[str]) -> list[JsonValue]:
    remaining = iter(ids)
    return [
        {"reference": reference, "id": next(remaining), "status": "accepted"}
        if isinstance(message, Arrival)
        else {"reference": reference, "status": "rejected", "code": message}
        for reference, message in zip(submission.references, submission.messages, strict=True)
    ]


def read_submission(body: JsonValue) -> Submission:
    """Understand a request. Raises Problem 400 when its shape is wrong."""
    given = body if isinstance(body, dict) else {}
    url, messages = given.get("callback_url"), given.get("messages")
    if not isinstance(url, str) or not _URL.fullmatch(url) or not isinstance(messages, list):
        raise Problem(400, "invalid_submission", "callback_url and messages are needed.")
    if not 1 <= len(messages) <= MAX_MESSAGES:
        raise Problem(400, "invalid_submission", f"messages holds 1 to {MAX_MESSAGES}.")
    references = [_reference(message) for message in messages]
    read = [_message(message, reference) for message, reference in zip(messages, references, strict=True)]
    return Submission(url, references, read)


def _reference(message: JsonValue) -> str:
    reference = message.get("reference") if isinstance(message, dict) else None
    if not isinstance(reference, str) or not _REFERENCE.fullmatch(reference):
        raise Problem(400, "invalid_submission", "A message has no reference of 32 hex digits.")
    return reference


def _message(message: JsonValue, reference: str) -> Arrival | str:
    if not isinstance(message, dict):
        return "incomplete"
    to, sender, text = message.get("to"), message.get("from"), message.get("text")
    if not isinstance(to, str) or not _PHONE.fullmatch(to):
        return "invalid_number"
    if not isinstance(sender, str) or not 0 < len(sender) <= MAX_SENDER or not _is_text(sender):
        return "invalid_sender"
    if not isinstance(text, str) or not 0 < len(text) <= MAX_SMS_CHARACTERS or not _is_text(text):
        return "invalid_text"
    return Arrival("sms", to[1:], sender, text, bytes.fromhex(reference))


def _is_text(text: str) -> bool:
    """Whether it can be stored and shown: JSON may hold halves of a character."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _parsed(body: bytes) -> JsonValue:
    """As lenient as carriers are, and three times faster than the strict reader."""
    try:
        value: JsonValue = json.loads(body)
    except (ValueError, RecursionError):
        raise Problem(400, "invalid_json", "The body is no JSON.") from None
    return value
