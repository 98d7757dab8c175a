"""A simulated SMSC over HTTP: takes messages, shows them in the inbox, reports that they were delivered.

Magic recipients fare as services/sandbox/magic.py says. A request may hold them beside ordinary ones, and what happens
to one message harms no other: a rejection, a throttle and a failure are told as that message's own result, and one that
gets no answer has no result, which leaves its sender as unsure as no answer at all. The whole answer is held back only
as long as every message of the request wants it, so in effect when a magic message is alone.
"""

import asyncio
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from libs.contracts.content import MAX_SMS_CHARACTERS
from libs.web import read_body
from libs.wire import JsonValue, Problem, json_bytes
from services.sandbox.magic import TAKING, Answer
from services.sandbox.reports import Reports
from services.sandbox.repository import Arrival, Inbox
from services.sandbox.turns import Turn, Turns

MAX_BODY = 1024 * 1024
MAX_MESSAGES = 100
MAX_SENDER = 32
_REFERENCE = re.compile(r"[0-9a-f]{32}")
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_URL = re.compile(r"https?://[^/\s?#@]+/\S*")
_REFUSALS: Mapping[Answer, Mapping[str, JsonValue]] = {
    Answer.REJECTED: {"status": "rejected", "code": "barred"},
    Answer.THROTTLED: {"status": "throttled", "retry_after": 1},
    Answer.FAILED: {"status": "failed", "code": "system_error"},
}


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
        self._turns = Turns()
        self._stopping = asyncio.Event()

    def add_to(self, app: web.Application) -> None:
        """Register."""
        app.router.add_post("/smsc/messages", self.post_messages)
        app.on_shutdown.append(self._stop)

    async def post_messages(self, request: web.Request) -> web.Response:
        """Take 1 to 100 messages; a bad one is rejected alone."""
        given = request.headers.get("Authorization", "").encode()
        if not secrets.compare_digest(given, self._authorization):
            raise Problem(401, "unauthorized", "The carrier key is missing or wrong.")
        submission = read_submission(_parsed(await read_body(request, limit=MAX_BODY)))
        turns = self._turns.take(submission.messages)
        ids = self._take(submission, turns)
        if len(turns) == len(submission.messages):
            await self._hold(min(turn.patience for turn in turns.values()))
        results = _results(submission, ids, turns)
        return web.Response(body=json_bytes({"results": results}), content_type="application/json")

    def _take(self, submission: Submission, turns: Mapping[int, Turn]) -> Mapping[int, str]:
        """Deliver what is taken and plan the reports; our id of each, by position in the request."""
        taken = {
            at: message
            for at, message in enumerate(submission.messages)
            if isinstance(message, Arrival) and (at not in turns or turns[at].answer in TAKING)
        }
        newest, url = self._inbox.newest, submission.callback_url
        numbers = dict(zip(taken, self._inbox.arrive(list(taken.values()), self._now()), strict=True))
        ids = {at: self._inbox.provider_message_id(number) for at, number in numbers.items()}
        if ordinary := [given for at, given in ids.items() if at not in turns]:
            self._reports.later(self._report_delay, url, ordinary, "delivered")
        for at, turn in turns.items():
            if numbers.get(at, 0) > newest:  # one that was known already has its reports
                for delay, status in turn.behaviour.reports:
                    self._reports.later(delay, url, [ids[at]], status)
        return ids

    async def _hold(self, seconds: float) -> None:
        if seconds:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()

    async def _stop(self, app: web.Application) -> None:
        self._stopping.set()


def _results(submission: Submission, ids: Mapping[int, str], turns: Mapping[int, Turn]) -> list[JsonValue]:
    results: list[JsonValue] = []
    for at, (reference, message) in enumerate(zip(submission.references, submission.messages, strict=True)):
        answer = turns[at].answer if at in turns else Answer.ACCEPTED
        if isinstance(message, str):
            results.append({"reference": reference, "status": "rejected", "code": message})
        elif answer is Answer.ACCEPTED:
            results.append({"reference": reference, "id": ids[at], "status": "accepted"})
        elif answer in _REFUSALS:
            results.append({"reference": reference, **_REFUSALS[answer]})
    return results


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
