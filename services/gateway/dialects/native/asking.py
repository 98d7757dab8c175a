"""The GETs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote
from uuid import UUID

from libs.contracts.states import DeliveryState
from libs.wire import HttpRequest, HttpResponse, JsonValue
from services.gateway.dialects.native.fields import api_key, id_in, one_of
from services.gateway.faults import Faults
from services.gateway.translation import READ, SECRETS, Demand, Owner, Petition, Question

MAX_PAGE = 1_000

_PAGE = frozenset({"state", "cursor", "limit"})
_LIMIT = re.compile(r"[0-9]{1,4}")
_CURSOR = re.compile(r"[!-~]{1,500}")


@dataclass(frozen=True, slots=True)
class Read:
    """A GET by id. The tracker's paths and bodies are this API's own."""

    name: str
    paths: tuple[str, ...]
    pages: bool = False

    def demand(self, request: HttpRequest, segments: Mapping[str, str]) -> Demand:
        return Demand((api_key(request),), READ)

    def question(self, request: HttpRequest, segments: Mapping[str, str]) -> Question:
        about = id_in(segments)
        params = _page(request.query) if self.pages else {}
        return Question(about, self.paths[0].replace("{id}", quote(str(about))), params)

    def answer(self, found: JsonValue) -> HttpResponse:
        return HttpResponse.json(200, found)

    def answer_early(self, about: UUID) -> HttpResponse:
        return HttpResponse.json(202, {"id": str(about), "state": "accepted"})


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """What the caller verifies the signatures of webhooks with; two while the platform's key is being exchanged."""

    name: str = "get_signing_secret"
    paths: tuple[str, ...] = ("/signing-secret",)
    methods: tuple[str, ...] = ("GET",)

    def demand(self, request: HttpRequest, segments: Mapping[str, str]) -> Demand:
        return Demand((api_key(request),), SECRETS)

    def petition(self, request: HttpRequest, segments: Mapping[str, str]) -> Petition:
        return Petition(Owner.GATEWAY, "/signing-secret")

    def answer(self, petition: Petition, verdict: JsonValue) -> HttpResponse:
        return HttpResponse.json(200, verdict, {"cache-control": "no-store"})


def _page(query: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a page as the tracker takes them. Raises Problem 422."""
    faults = Faults()
    faults.unknown("", dict(query), _PAGE)
    page = {name: value for name, value in query.items() if name in _PAGE}
    if "state" in page:
        faults.read("state", partial(one_of, DeliveryState), page["state"])
    if "limit" in page and not (_LIMIT.fullmatch(page["limit"]) and 1 <= int(page["limit"]) <= MAX_PAGE):
        faults.add("limit", f"must be a number from 1 to {MAX_PAGE}.")
    if "cursor" in page and not _CURSOR.fullmatch(page["cursor"]):
        faults.add("cursor", "is none that an earlier page gave. Begin without one.")
    if faults:
        raise faults.problem()
    return page
