"""A simulated Viber partner over HTTP: takes business messages and tells by events what became of them.

Its wire is described where it is spoken: services/dispatchers/viber/http_viber.py.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from aiohttp import web

from libs.contracts.content import MAX_VIBER_CHARACTERS
from libs.wire import JsonValue, json_bytes
from services.sandbox.magic import Answer
from services.sandbox.reports import Reports, Told
from services.sandbox.repository import Arrival, Inbox
from services.sandbox.taking import Carrier, Verdict, is_phone, is_text, read_submission

MAX_SENDER = 32
MAX_URL = 2048
MAX_BUTTON = 30
REASONS = {"undelivered": "switched_off", "blocked": "blocked_by_user"}
_REFUSALS: Mapping[Answer, Mapping[str, JsonValue]] = {
    Answer.REJECTED: {"state": "refused", "reason": "not_a_viber_user"},
    Answer.NO_FUNDS: {"state": "refused", "reason": "no_funds"},
    Answer.THROTTLED: {"state": "busy", "wait": 1},
    Answer.FAILED: {"state": "error", "reason": "try_again"},
}


class Viber:
    """POST /viber/messages."""

    def __init__(
        self, inbox: Inbox, reports: Reports, *, key: str, report_delay: float, now: Callable[[], datetime]
    ) -> None:
        self._carrier = Carrier("viber", inbox, reports, form=event_form, key=key, report_delay=report_delay, now=now)

    def add_to(self, app: web.Application) -> None:
        """Register."""
        app.router.add_post("/viber/messages", self.post_messages)
        app.on_shutdown.append(self._carrier.stop)

    async def post_messages(self, request: web.Request) -> web.Response:
        """Take 1 to 100 messages; a bad one is refused alone."""
        body = await self._carrier.read(request)
        submission = read_submission(body, url="report_to", key="key", message=_message)
        results: list[JsonValue] = [_result(verdict) for verdict in await self._carrier.take(submission)]
        return web.Response(body=json_bytes({"results": results}), content_type="application/json")


def event_form(told: Sequence[Told], at: str) -> JsonValue:
    """The body of a call that tells events."""
    return {"events": [_event(one, at) for one in told]}


def _event(one: Told, at: str) -> JsonValue:
    reason: dict[str, JsonValue] = {"reason": REASONS[one.status]} if one.status in REASONS else {}
    return {"message_id": one.id, "event": one.status, "at": at, **reason}


def _message(given: Mapping[str, JsonValue], key: bytes) -> Arrival | str:
    phone, sender, text = given.get("phone"), given.get("sender"), given.get("text")
    image, button = given.get("image"), given.get("button")
    if not is_phone(phone):
        return "bad_phone"
    if not is_text(sender, MAX_SENDER):
        return "bad_sender"
    if not is_text(text, MAX_VIBER_CHARACTERS):
        return "bad_text"
    if image is not None and not is_text(image, MAX_URL):
        return "bad_image"
    if button is not None and not _is_button(button):
        return "bad_button"
    data: dict[str, JsonValue] = {
        name: value for name, value in (("image", image), ("button", button)) if value is not None
    }
    return Arrival("viber", str(phone)[1:], str(sender), str(text), key, data=data or None)


def _is_button(value: JsonValue) -> bool:
    if not isinstance(value, dict) or set(value) != {"text", "url"}:
        return False
    return is_text(value["text"], MAX_BUTTON) and is_text(value["url"], MAX_URL)


def _result(verdict: Verdict) -> JsonValue:
    if verdict.code:
        return {"key": verdict.key, "state": "refused", "reason": verdict.code}
    if verdict.answer is Answer.ACCEPTED:
        return {"key": verdict.key, "state": "queued", "message_id": verdict.given}
    return {"key": verdict.key, **_REFUSALS[verdict.answer]}
