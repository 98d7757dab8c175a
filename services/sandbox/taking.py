"""What every simulated carrier does, whatever its wire looks like: takes messages, shows them in the inbox, reports.

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
from typing import NamedTuple

from aiohttp import web

from libs.web import read_body
from libs.wire import JsonValue, Problem
from services.sandbox.magic import MAGIC, TAKING, Answer
from services.sandbox.reports import Form, Reports
from services.sandbox.repository import Arrival, Inbox
from services.sandbox.turns import Turn, Turns

MAX_BODY = 1024 * 1024
MAX_MESSAGES = 100
_KEY = re.compile(r"[0-9a-f]{32}")
_URL = re.compile(r"https?://[^/\s?#@]+/\S*")
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")


@dataclass(frozen=True, slots=True)
class Submission:
    """A request as it was understood: messages, or the code of what is wrong with one."""

    callback_url: str
    keys: Sequence[str]
    messages: Sequence[Arrival | str]


class Verdict(NamedTuple):
    """What one message of a request is told. `code` says what is wrong with one that could not be understood; `given`
    is our id of what was taken."""

    key: str
    answer: Answer
    given: str = ""
    code: str = ""


class Carrier:
    """One simulated carrier: its channel's magic numbers, and the `form` of its reports."""

    def __init__(
        self,
        channel: str,
        inbox: Inbox,
        reports: Reports,
        *,
        form: Form,
        key: str,
        report_delay: float,
        now: Callable[[], datetime],
    ) -> None:
        self._inbox = inbox
        self._reports = reports
        self._form = form
        self._authorization = f"Bearer {key}".encode()
        self._report_delay = report_delay
        self._now = now
        self._turns = Turns(MAGIC[channel])
        self._stopping = asyncio.Event()

    async def read(self, request: web.Request) -> JsonValue:
        """The body of a request that shows our key. Raises Problem."""
        given = request.headers.get("Authorization", "").encode()
        if not secrets.compare_digest(given, self._authorization):
            raise Problem(401, "unauthorized", "The carrier key is missing or wrong.")
        return _parsed(await read_body(request, limit=MAX_BODY))

    async def take(self, submission: Submission) -> Sequence[Verdict]:
        """Take what is to be taken; a verdict for each message that gets one, in the order of the request."""
        turns = self._turns.take(submission.messages)
        ids = self._deliver(submission, turns)
        if len(turns) == len(submission.messages):
            await self._hold(min(turn.patience for turn in turns.values()))
        verdicts = []
        for at, (key, message) in enumerate(zip(submission.keys, submission.messages, strict=True)):
            answer = turns[at].answer if at in turns else Answer.ACCEPTED
            if isinstance(message, str):
                verdicts.append(Verdict(key, Answer.REJECTED, code=message))
            elif answer is not Answer.UNANSWERED:
                verdicts.append(Verdict(key, answer, ids.get(at, "")))
        return verdicts

    async def stop(self, app: web.Application) -> None:
        """Hold no answer back any longer."""
        self._stopping.set()

    def _deliver(self, submission: Submission, turns: Mapping[int, Turn]) -> Mapping[int, str]:
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
            self._reports.later(self._report_delay, url, ordinary, "delivered", self._form)
        for at, turn in turns.items():
            if numbers.get(at, 0) > newest:  # one that was known already has its reports
                for delay, status in turn.behaviour.reports:
                    self._reports.later(delay, url, [ids[at]], status, self._form)
        return ids

    async def _hold(self, seconds: float) -> None:
        if seconds:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()


def read_submission(
    body: JsonValue, *, url: str, key: str, message: Callable[[Mapping[str, JsonValue], bytes], Arrival | str]
) -> Submission:
    """Understand a request whose callback address stands under `url` and each message's key under `key`. Raises Problem
    400 when its shape is wrong; what is wrong with one message is its own code."""
    given = body if isinstance(body, dict) else {}
    callback_url, messages = given.get(url), given.get("messages")
    if not isinstance(callback_url, str) or not _URL.fullmatch(callback_url) or not isinstance(messages, list):
        raise Problem(400, "invalid_submission", f"{url} and messages are needed.")
    if not 1 <= len(messages) <= MAX_MESSAGES:
        raise Problem(400, "invalid_submission", f"messages holds 1 to {MAX_MESSAGES}.")
    keys = [read_key(one.get(key) if isinstance(one, dict) else None, key) for one in messages]
    read = [
        message(one, bytes.fromhex(known)) if isinstance(one, dict) else "incomplete"
        for one, known in zip(messages, keys, strict=True)
    ]
    return Submission(callback_url, keys, read)


def read_key(value: JsonValue, name: str) -> str:
    """A sender's key. Raises Problem 400."""
    if not isinstance(value, str) or not _KEY.fullmatch(value):
        raise Problem(400, "invalid_submission", f"A message has no {name} of 32 hex digits.")
    return value


def is_phone(value: JsonValue) -> bool:
    """Whether it is a number in E.164."""
    return isinstance(value, str) and _PHONE.fullmatch(value) is not None


def is_text(value: JsonValue, longest: int) -> bool:
    """Whether it can be stored and shown: JSON may hold halves of a character."""
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        return False
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _parsed(body: bytes) -> JsonValue:
    """As lenient as carriers are, and three times faster than the strict reader."""
    try:
        value: JsonValue = json.loads(body)
    except (ValueError, RecursionError):
        raise Problem(400, "invalid_json", "The body is no JSON.") from None
    return value
