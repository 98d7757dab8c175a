"""A simulated SMSC over HTTP: takes messages, tells what became of them, reports that they were delivered."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from aiohttp import web

from libs.contracts.content import MAX_SMS_CHARACTERS
from libs.wire import JsonValue, Problem, json_bytes
from services.sandbox.magic import Answer
from services.sandbox.reports import Reports, Told
from services.sandbox.repository import Arrival, Inbox
from services.sandbox.taking import MAX_MESSAGES, Carrier, Verdict, is_phone, is_text, read_key, read_submission

MAX_SENDER = 32
CODES = {"on_phone": "000", "delivered": "000", "undelivered": "027", "rejected": "034"}
_REFUSALS: Mapping[Answer, Mapping[str, JsonValue]] = {
    Answer.REJECTED: {"status": "rejected", "code": "barred"},
    Answer.NO_FUNDS: {"status": "rejected", "code": "no_funds"},
    Answer.THROTTLED: {"status": "throttled", "retry_after": 1},
    Answer.FAILED: {"status": "failed", "code": "system_error"},
}


class Smsc:
    """POST /smsc/messages and /smsc/messages/query."""

    def __init__(
        self, inbox: Inbox, reports: Reports, *, key: str, report_delay: float, now: Callable[[], datetime]
    ) -> None:
        self._inbox = inbox
        self._carrier = Carrier("sms", inbox, reports, form=report_form, key=key, report_delay=report_delay, now=now)

    def add_to(self, app: web.Application) -> None:
        """Register."""
        app.router.add_post("/smsc/messages", self.post_messages)
        app.router.add_post("/smsc/messages/query", self.post_query)
        app.on_shutdown.append(self._carrier.stop)

    async def post_messages(self, request: web.Request) -> web.Response:
        """Take 1 to 100 messages; a bad one is rejected alone."""
        body = await self._carrier.read(request)
        submission = read_submission(body, url="callback_url", key="reference", message=_message)
        results: list[JsonValue] = [_result(verdict) for verdict in await self._carrier.take(submission)]
        return web.Response(body=json_bytes({"results": results}), content_type="application/json")

    async def post_query(self, request: web.Request) -> web.Response:
        """Tell what became of 1 to 100 references: taken, and under which id, or unknown."""
        references = read_query(await self._carrier.read(request))
        known = self._inbox.known([bytes.fromhex(reference) for reference in references])
        results: list[JsonValue] = [
            {"reference": reference, "status": "accepted", "id": self._inbox.provider_message_id(number)}
            if (number := known.get(bytes.fromhex(reference)))
            else {"reference": reference, "status": "unknown"}
            for reference in references
        ]
        return web.Response(body=json_bytes({"results": results}), content_type="application/json")


def report_form(told: Sequence[Told], at: str) -> JsonValue:
    """The body of a report."""
    return {"reports": [{"id": one.id, "status": one.status, "code": CODES[one.status], "at": at} for one in told]}


def read_query(body: JsonValue) -> Sequence[str]:
    """The references that are asked about. Raises Problem 400 when its shape is wrong."""
    references = body.get("references") if isinstance(body, dict) else None
    if not isinstance(references, list) or not 1 <= len(references) <= MAX_MESSAGES:
        raise Problem(400, "invalid_query", f"references holds 1 to {MAX_MESSAGES}.")
    return [read_key(reference, "reference") for reference in references]


def _message(given: Mapping[str, JsonValue], key: bytes) -> Arrival | str:
    to, sender, text = given.get("to"), given.get("from"), given.get("text")
    if not is_phone(to):
        return "invalid_number"
    if not is_text(sender, MAX_SENDER):
        return "invalid_sender"
    if not is_text(text, MAX_SMS_CHARACTERS):
        return "invalid_text"
    return Arrival("sms", str(to)[1:], str(sender), str(text), key)


def _result(verdict: Verdict) -> JsonValue:
    if verdict.code:
        return {"reference": verdict.key, "status": "rejected", "code": verdict.code}
    if verdict.answer is Answer.ACCEPTED:
        return {"reference": verdict.key, "id": verdict.given, "status": "accepted"}
    return {"reference": verdict.key, **_REFUSALS[verdict.answer]}
