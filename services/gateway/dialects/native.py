"""Carillon's own API: JSON, one API key, errors as RFC 9457 problem documents."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import quote
from uuid import UUID

from libs.contracts.audience import Addresses, ClientIds
from libs.contracts.commands import MAX_CHUNK
from libs.contracts.content import SmsContent
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.contracts.states import DeliveryState
from libs.wire import HttpRequest, HttpResponse, JsonValue, Problem
from services.gateway.bodies import json_object
from services.gateway.faults import Fault, Faults
from services.gateway.instants import instant
from services.gateway.recipients import client_ids, phone_numbers
from services.gateway.translation import READ, SEND, Accepted, Demand, Draft, Question, ReadCall, SendCall, Token
from services.gateway.words import sender, sms_text

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")

API_KEY = "native"

MAX_ORDERING_KEY = 200
MAX_PAGE = 1_000
# More at once would be a campaign on the lane that exists so that campaigns delay nobody.
MAX_URGENT = MAX_CHUNK

_FIELDS = frozenset({"channel", "to", "content", "at", "lane", "class", "ordering_key", "expires_at"})
_TO = frozenset({"client_ids", "addresses"})
_CONTENT = frozenset({"text", "sender"})
_PAGE = frozenset({"state", "cursor", "limit"})
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}", re.IGNORECASE)
_LIMIT = re.compile(r"[0-9]{1,4}")
_CURSOR = re.compile(r"[!-~]{1,500}")
_BEARER = re.compile(r"bearer +([!-~]+) *", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PostNotification:
    """POST /notifications: one message to one person or to many."""

    name: str = "post_notification"
    paths: tuple[str, ...] = ("/notifications",)

    def demand(self, request: HttpRequest, segments: Mapping[str, str]) -> Demand:
        return Demand((_api_key(request),), SEND)

    def drafts(self, request: HttpRequest, now: datetime) -> tuple[Draft, ...]:
        body = json_object(request)
        faults = Faults()
        faults.unknown("", body, _FIELDS)
        channel = faults.read("channel", partial(_one_of, Channel), body.get("channel"))
        to = _recipients(body.get("to"), faults)
        content = _content(body.get("content"), faults)
        at = _optional("at", instant, body, faults)
        expires_at = _optional("expires_at", instant, body, faults)
        if expires_at is not None and expires_at <= max(now, at or now):
            faults.add("expires_at", "is before the message could leave. Give it a later instant.")
        lane = _optional("lane", partial(_one_of, Lane), body, faults) or _usual_lane(to)
        if to is not None and lane is Lane.URGENT and _count(to) > MAX_URGENT:
            faults.add("lane", f"may be urgent for at most {MAX_URGENT} recipients. Leave it out for a campaign.")
        message_class = _optional("class", partial(_one_of, MessageClass), body, faults) or _usual_class(lane)
        ordering_key = _optional("ordering_key", _ordering_key, body, faults)
        if faults or channel is None or to is None or content is None:
            raise faults.problem()
        return (Draft(channel, to, content, lane, message_class, at, expires_at, ordering_key),)

    def answer(self, accepted: Accepted) -> HttpResponse:
        (notification_id,) = accepted.notification_ids
        document: dict[str, JsonValue] = {"id": str(notification_id), "trace_id": accepted.trace_id}
        return HttpResponse.json(202, document, {"location": f"/notifications/{notification_id}"})


@dataclass(frozen=True, slots=True)
class Read:
    """A GET by id. The tracker's paths and bodies are this API's own."""

    name: str
    paths: tuple[str, ...]
    pages: bool = False

    def demand(self, request: HttpRequest, segments: Mapping[str, str]) -> Demand:
        return Demand((_api_key(request),), READ)

    def question(self, request: HttpRequest, segments: Mapping[str, str]) -> Question:
        about = _id(segments["id"])
        params = _page(request.query) if self.pages else {}
        return Question(about, self.paths[0].replace("{id}", quote(str(about))), params)

    def answer(self, found: JsonValue) -> HttpResponse:
        return HttpResponse.json(200, found)

    def answer_early(self, about: UUID) -> HttpResponse:
        return HttpResponse.json(202, {"id": str(about), "state": "accepted"})


@dataclass(frozen=True, slots=True)
class Native:
    """The whole API as far as it is served."""

    name: str = "native"
    sends: tuple[SendCall, ...] = (PostNotification(),)
    reads: tuple[ReadCall, ...] = (
        Read("get_notification", ("/notifications/{id}",)),
        Read("list_deliveries", ("/notifications/{id}/deliveries",), pages=True),
        Read("get_delivery", ("/deliveries/{id}",)),
    )

    def refuse(self, problem: Problem) -> HttpResponse:
        document: dict[str, JsonValue] = {
            "type": f"urn:carillon:problem:{problem.code}",
            "title": HTTPStatus(problem.status).phrase,
            "status": problem.status,
            "detail": problem.detail,
            **problem.extra,
        }
        challenge = {"www-authenticate": "Bearer"} if problem.status == 401 else {}
        headers = {**challenge, **problem.headers, "content-type": "application/problem+json"}
        return HttpResponse.json(problem.status, document, headers)


def _api_key(request: HttpRequest) -> Token:
    key = _BEARER.fullmatch(request.headers.get("authorization", "").strip())
    if key is None:
        raise Problem(401, "unauthenticated", "Send Authorization: Bearer <api key>.")
    return Token(API_KEY, key[1])


def _one_of(kind: type[E], value: JsonValue) -> E:
    known = {str(member): member for member in kind}
    if isinstance(value, str) and value in known:
        return known[value]
    raise Fault(f"must be one of: {', '.join(known)}.")


def _optional(name: str, read: Callable[[JsonValue], T], body: dict[str, JsonValue], faults: Faults) -> T | None:
    return None if body.get(name) is None else faults.read(name, read, body[name])


def _recipients(value: JsonValue, faults: Faults) -> ClientIds | Addresses | None:
    if not isinstance(value, dict):
        faults.add("to", 'must be an object: {"client_ids": [1, 2]} or {"addresses": ["+48501234567"]}.')
        return None
    faults.unknown("to", value, _TO)
    if len(_TO & value.keys()) != 1:
        faults.add("to", "must hold either client_ids or addresses, one of them.")
        return None
    if "client_ids" in value:
        return faults.read("to.client_ids", client_ids, value["client_ids"])
    return faults.read("to.addresses", phone_numbers, value["addresses"])


def _content(value: JsonValue, faults: Faults) -> SmsContent | None:
    if not isinstance(value, dict):
        faults.add("content", 'must be an object: {"text": "..."}.')
        return None
    faults.unknown("content", value, _CONTENT)
    text = faults.read("content.text", sms_text, value.get("text"))
    name = None if value.get("sender") is None else faults.read("content.sender", sender, value["sender"])
    return None if text is None else SmsContent(text=text, sender=name)


def _usual_lane(to: ClientIds | Addresses | None) -> Lane:
    return Lane.URGENT if to is not None and _count(to) == 1 else Lane.BULK


def _usual_class(lane: Lane) -> MessageClass:
    return MessageClass.TRANSACTIONAL if lane is Lane.URGENT else MessageClass.BULK


def _count(to: ClientIds | Addresses) -> int:
    return len(to.client_ids) if isinstance(to, ClientIds) else len(to.addresses)


def _ordering_key(value: JsonValue) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_ORDERING_KEY or not value.isprintable():
        raise Fault(f"must be a string of 1 to {MAX_ORDERING_KEY} printable characters.")
    return value


def _id(segment: str) -> UUID:
    if not _UUID.fullmatch(segment):
        raise Problem(404, "not_found", "There is nothing with this id.")
    return UUID(segment)


def _page(query: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a page as the tracker takes them. Raises Problem 422."""
    faults = Faults()
    faults.unknown("", dict(query), _PAGE)
    page = {name: value for name, value in query.items() if name in _PAGE}
    if "state" in page:
        faults.read("state", partial(_one_of, DeliveryState), page["state"])
    if "limit" in page and not (_LIMIT.fullmatch(page["limit"]) and 1 <= int(page["limit"]) <= MAX_PAGE):
        faults.add("limit", f"must be a number from 1 to {MAX_PAGE}.")
    if "cursor" in page and not _CURSOR.fullmatch(page["cursor"]):
        faults.add("cursor", "is none that an earlier page gave. Begin without one.")
    if faults:
        raise faults.problem()
    return page
