"""POST /notifications."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from libs.contracts.audience import Addresses, ClientIds
from libs.contracts.commands import MAX_CHUNK
from libs.contracts.notification import Callback
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.wire import HttpRequest, HttpResponse, JsonValue
from services.gateway.bodies import json_object
from services.gateway.dialects.native.fields import api_key, one_of, optional
from services.gateway.dialects.native.words import content, fallback
from services.gateway.faults import Fault, Faults
from services.gateway.instants import instant, start
from services.gateway.recipients import client_ids, phone_numbers, url, urls
from services.gateway.translation import SEND, Accepted, Demand, Draft, Start

DIALECT = "native"
MAX_ORDERING_KEY = 200
# More at once would be a campaign on the lane that exists so that campaigns delay nobody.
MAX_URGENT = MAX_CHUNK

_FIELDS = frozenset(
    {
        "channel",
        "to",
        "content",
        "at",
        "zone",
        "lane",
        "class",
        "ordering_key",
        "expires_at",
        "fallback",
        "callback",
    }
)
_TO = frozenset({"client_ids", "addresses"})
_CALLBACK = frozenset({"url"})


@dataclass(frozen=True, slots=True)
class PostNotification:
    """One message to one person or to many."""

    name: str = "post_notification"
    paths: tuple[str, ...] = ("/notifications",)
    methods: tuple[str, ...] = ("POST",)

    def demand(self, request: HttpRequest, segments: Mapping[str, str]) -> Demand:
        return Demand((api_key(request),), SEND)

    def drafts(self, request: HttpRequest, now: datetime) -> tuple[Draft, ...]:
        body = json_object(request)
        faults = Faults()
        faults.unknown("", body, _FIELDS)
        channel = faults.read("channel", partial(one_of, Channel), body.get("channel"))
        to = _recipients(channel, body.get("to"), faults)
        said = content(channel, body.get("content"), faults)
        begin = start(body.get("at"), body.get("zone"), faults)
        expires_at = optional("expires_at", instant, body, faults)
        if expires_at is not None and expires_at <= max(now, begin.at if begin else now):
            faults.add("expires_at", "is before the message could leave. Give it a later instant.")
        lane = optional("lane", partial(one_of, Lane), body, faults) or _usual_lane(to)
        if to is not None and lane is Lane.URGENT and _count(to) > MAX_URGENT:
            faults.add("lane", f"may be urgent for at most {MAX_URGENT} recipients. Leave it out for a campaign.")
        message_class = optional("class", partial(_message_class, channel), body, faults) or _usual_class(channel, lane)
        ordering_key = optional("ordering_key", _ordering_key, body, faults)
        steps = fallback(channel, body.get("fallback"), faults)
        callback = _callback(body.get("callback"), faults)
        if faults or channel is None or to is None or said is None:
            raise faults.problem()
        return (Draft(channel, to, said, lane, message_class, begin, expires_at, ordering_key, steps, callback),)

    def answer(self, accepted: Accepted) -> HttpResponse:
        ((draft,), (notification_id,)) = accepted.drafts, accepted.notification_ids
        document: dict[str, JsonValue] = {"id": str(notification_id), "trace_id": accepted.trace_id}
        return HttpResponse.json(
            202, document | in_zone(draft.start), {"location": f"/notifications/{notification_id}"}
        )


def in_zone(begin: Start | None) -> dict[str, JsonValue]:
    """What became of a wall-clock time: the instant it means, its zone, and what the clocks do to it. Nothing where
    the caller gave an instant."""
    if begin is None or begin.zone is None:
        return {}
    at = begin.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {"at": at, "zone": begin.zone, "adjusted": begin.adjusted}


def _recipients(channel: Channel | None, value: JsonValue, faults: Faults) -> ClientIds | Addresses | None:
    example = '["https://example.com/hook"]' if channel is Channel.WEBHOOK else '["+48501234567"]'
    if not isinstance(value, dict):
        faults.add("to", f'must be an object: {{"client_ids": [1, 2]}} or {{"addresses": {example}}}.')
        return None
    faults.unknown("to", value, _TO)
    if len(_TO & value.keys()) != 1:
        faults.add("to", "must hold either client_ids or addresses, one of them.")
        return None
    if "addresses" in value:
        read = urls if channel is Channel.WEBHOOK else phone_numbers
        return faults.read("to.addresses", read, value["addresses"])
    if channel is Channel.WEBHOOK:
        faults.add("to.client_ids", f"have no addresses for a webhook. Send addresses: {example}.")
        return None
    return faults.read("to.client_ids", client_ids, value["client_ids"])


def _usual_lane(to: ClientIds | Addresses | None) -> Lane:
    return Lane.URGENT if to is not None and _count(to) == 1 else Lane.BULK


def _usual_class(channel: Channel | None, lane: Lane) -> MessageClass:
    if channel is Channel.WEBHOOK:
        return MessageClass.WEBHOOK
    return MessageClass.TRANSACTIONAL if lane is Lane.URGENT else MessageClass.BULK


def _message_class(channel: Channel | None, value: JsonValue) -> MessageClass:
    found = one_of(MessageClass, value)
    if found is MessageClass.WEBHOOK and channel is not Channel.WEBHOOK:
        raise Fault("is for the channel webhook alone. Leave it out.")
    return found


def _count(to: ClientIds | Addresses) -> int:
    return len(to.client_ids) if isinstance(to, ClientIds) else len(to.addresses)


def _ordering_key(value: JsonValue) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_ORDERING_KEY or not value.isprintable():
        raise Fault(f"must be a string of 1 to {MAX_ORDERING_KEY} printable characters.")
    return value


def _callback(value: JsonValue, faults: Faults) -> Callback | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        faults.add("callback", 'must be an object: {"url": "https://example.com/hook"}.')
        return None
    faults.unknown("callback", value, _CALLBACK)
    told = faults.read("callback.url", url, value.get("url"))
    return None if told is None else Callback(url=told, dialect=DIALECT)
