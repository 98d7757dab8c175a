"""Altegio (formerly YCLIENTS), notifications: https://developer.alteg.io/en/notifications

One call so far: SMS to a list of clients. Errors and answers are an envelope `{success, data, meta}`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from libs.contracts.content import SmsContent, WebhookContent
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.wire import HttpRequest, HttpResponse, JsonValue, Problem
from services.gateway.bodies import json_object
from services.gateway.faults import Faults
from services.gateway.recipients import client_ids
from services.gateway.translation import (
    SEND,
    Accepted,
    ControlCall,
    Demand,
    Draft,
    News,
    OwnerCall,
    ReadCall,
    SendCall,
    Token,
)
from services.gateway.words import sms_text

PARTNER = "altegio.partner"
USER = "altegio.user"

# The vendor's words, where it has published any; other statuses carry the platform's own.
MESSAGES = {
    401: "Authentication needed.",
    402: "Insufficient funds on the account. Refill your balance.",
    403: "Access denied.",
    422: "An error has occurred.",
    503: "Service unavailable.",
}
_NUMBER = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class SmsToClients:
    """SMS to clients by their ids. Ids that nobody has are passed over later: accepting waits for no client base."""

    name: str = "sms_to_clients"
    # The document writes /v1, real clients call /api/v1.
    paths: tuple[str, ...] = (
        "/api/v1/sms/clients/by_id/{location_id}",
        "/v1/sms/clients/by_id/{location_id}",
    )
    methods: tuple[str, ...] = ("POST",)

    def demand(self, request: HttpRequest, segments: Mapping[str, str]) -> Demand:
        return Demand(_tokens(request.headers.get("authorization", "")), SEND, _location(segments["location_id"]))

    def drafts(self, request: HttpRequest, now: datetime) -> tuple[Draft, ...]:
        body = json_object(request)
        faults = Faults()
        to = faults.read("client_ids", client_ids, body.get("client_ids"))
        text = faults.read("text", sms_text, body.get("text"))
        if to is None or text is None:
            raise faults.problem()
        single = len(to.client_ids) == 1
        return (
            Draft(
                channel=Channel.SMS,
                to=to,
                content=SmsContent(text=text),
                lane=Lane.URGENT if single else Lane.BULK,
                message_class=MessageClass.TRANSACTIONAL if single else MessageClass.BULK,
            ),
        )

    def answer(self, accepted: Accepted) -> HttpResponse:
        return _envelope(201, {"message": "Accepted"}, success=True)


@dataclass(frozen=True, slots=True)
class Altegio:
    """The whole API as far as it is served."""

    name: str = "altegio"
    sends: tuple[SendCall, ...] = (SmsToClients(),)
    reads: tuple[ReadCall, ...] = ()
    controls: tuple[ControlCall, ...] = ()
    petitions: tuple[OwnerCall, ...] = ()

    def refuse(self, problem: Problem) -> HttpResponse:
        """The vendor knows no 400 on these calls: what is malformed is 422, and its `errors` are plain sentences."""
        status = 422 if problem.status == 400 else problem.status
        return _envelope(status, _meta(status, problem), success=False, headers=problem.headers)

    def tell(self, news: News) -> tuple[WebhookContent, ...]:
        return ()


def _meta(status: int, problem: Problem) -> dict[str, JsonValue]:
    if status == 404:
        return {}
    message = MESSAGES.get(status, problem.detail)
    return {"message": message, "errors": _errors(problem)} if status == 422 else {"message": message}


def _errors(problem: Problem) -> list[JsonValue]:
    listed = problem.extra.get("errors")
    faults = listed if isinstance(listed, list) else []
    sentences: list[JsonValue] = [f"{fault['field']} {fault['detail']}" for fault in faults if isinstance(fault, dict)]
    return sentences or [problem.detail]


def _envelope(
    status: int, meta: dict[str, JsonValue], *, success: bool, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    return HttpResponse.json(status, {"success": success, "data": None, "meta": meta}, headers)


def _tokens(authorization: str) -> tuple[Token, Token]:
    """Partner and user token from `Bearer <partner>, User <user>`, in either order, the words in any case."""
    found: dict[str, str] = {}
    for part in authorization.split(","):
        words = part.split()
        if len(words) == 2 and words[0].lower() not in found:
            found[words[0].lower()] = words[1]
        elif words:
            raise _unauthenticated()  # a scheme without its token, or twice the same one: which is meant?
    if "bearer" not in found or "user" not in found:
        raise _unauthenticated()
    return Token(PARTNER, found["bearer"]), Token(USER, found["user"])


def _unauthenticated() -> Problem:
    return Problem(401, "unauthenticated", "Send Authorization: Bearer <partner token>, User <user token>.")


def _location(segment: str) -> str:
    # What is no number is no location either; the tokens are looked at first all the same.
    return f"location/{int(segment)}" if _NUMBER.fullmatch(segment) else "location/none"
