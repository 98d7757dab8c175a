"""sms.by, HTTP API v1: no call is served yet, but what looks like one is answered in its form."""

from dataclasses import dataclass

from libs.contracts.content import WebhookContent
from libs.wire import HttpResponse, Problem
from services.gateway.translation import ControlCall, News, OwnerCall, ReadCall, SendCall

TEXTS = {
    403: "token is invalid",
    404: "not found",
    429: "limit exceeded",
    500: "undefined error",
    503: "undefined error",
}


@dataclass(frozen=True, slots=True)
class SmsBy:
    """Errors are `{"error": "<one of the vendor's texts>"}`; what is wrong in detail is not said."""

    name: str = "smsby"
    sends: tuple[SendCall, ...] = ()
    reads: tuple[ReadCall, ...] = ()
    controls: tuple[ControlCall, ...] = ()
    petitions: tuple[OwnerCall, ...] = ()

    def refuse(self, problem: Problem) -> HttpResponse:
        return HttpResponse.json(
            problem.status, {"error": TEXTS.get(problem.status, "incorrect arguments")}, problem.headers
        )

    def tell(self, news: News) -> tuple[WebhookContent, ...]:
        return ()
