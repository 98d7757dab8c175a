"""Carillon's own API: JSON, one API key, errors as RFC 9457 problem documents."""

from dataclasses import dataclass
from http import HTTPStatus

from libs.contracts.commands import ControlAction
from libs.contracts.content import WebhookContent
from libs.wire import HttpResponse, JsonValue, Problem
from services.gateway.dialects.native.asking import Read, SigningSecret
from services.gateway.dialects.native.controlling import Control, Resend
from services.gateway.dialects.native.fields import API_KEY
from services.gateway.dialects.native.posting import DIALECT, PostNotification
from services.gateway.dialects.native.telling import tell
from services.gateway.translation import ControlCall, News, OwnerCall, ReadCall, SendCall

__all__ = ["API_KEY", "Native"]


@dataclass(frozen=True, slots=True)
class Native:
    """The whole API as far as it is served."""

    name: str = DIALECT
    sends: tuple[SendCall, ...] = (PostNotification(),)
    reads: tuple[ReadCall, ...] = (
        Read("get_notification", ("/notifications/{id}",)),
        Read("list_deliveries", ("/notifications/{id}/deliveries",), pages=True),
        Read("get_delivery", ("/deliveries/{id}",)),
    )
    controls: tuple[ControlCall, ...] = tuple(Control(action) for action in ControlAction)
    petitions: tuple[OwnerCall, ...] = (Resend(), SigningSecret())

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

    def tell(self, news: News) -> tuple[WebhookContent, ...]:
        return tell(news)
