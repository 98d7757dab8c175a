"""Asking an owner for its verdict, where an API answers with one."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

from libs.contracts.failures import Unavailable
from libs.wire import HttpResponse, JsonValue, Problem
from services.gateway.accepting import unavailable
from services.gateway.authorization import Principal
from services.gateway.deadline import Deadline
from services.gateway.reading import is_young
from services.gateway.translation import Owner, OwnerCall, Petition

ASK_SECONDS = 2.5
NOT_ARRIVED = "It has been accepted and is still on its way. Try again in a second."
NOT_KNOWN = "It is not known whether it was done. Ask for the state, then try again."


class OwnerService(Protocol):
    """Whoever decides, over its internal HTTP."""

    async def get_json(
        self, path: str, *, params: Mapping[str, str] | None = None, within: float = 1.0
    ) -> tuple[int, JsonValue]:
        """Status and body. Raises Unavailable."""
        ...

    async def post_json(
        self, path: str, value: JsonValue, *, params: Mapping[str, str] | None = None, within: float = 2.0
    ) -> tuple[int, JsonValue]:
        """Status and body. Raises Unavailable: then it is not known whether it was done."""
        ...


class Asking:
    """Puts calls to those who can answer them."""

    def __init__(self, owners: Mapping[Owner, OwnerService], now: Callable[[], datetime]) -> None:
        self._owners = owners
        self._now = now

    async def answer(
        self, principal: Principal, call: OwnerCall, petition: Petition, deadline: Deadline
    ) -> HttpResponse:
        """The owner's verdict in the call's form. Raises Problem with what the owner refuses: 400, 404, 409, 422; 409
        where what it is about may still be on its way; 503, with `unknown` where it may have been done."""
        status, verdict = await self._ask(petition, principal.tenant.name, deadline.left(ASK_SECONDS))
        if 200 <= status < 300:
            return call.answer(petition, verdict)
        if status == 404 and petition.about is not None and is_young(petition.about, self._now()):
            raise Problem(409, "not_arrived", NOT_ARRIVED, headers={"Retry-After": "1"})
        if status in (400, 404, 409, 422):
            raise refused(status, verdict)
        raise Unavailable(f"the {petition.owner} answered {status}")

    async def _ask(self, petition: Petition, tenant: str, within: float) -> tuple[int, JsonValue]:
        owner, params = self._owners[petition.owner], {**petition.params, "tenant": tenant}
        if petition.body is None:
            return await owner.get_json(petition.path, params=params, within=within)
        try:
            return await owner.post_json(petition.path, petition.body, params=params, within=within)
        except Unavailable as error:
            raise unavailable("unknown", NOT_KNOWN) from error


def refused(status: int, verdict: JsonValue) -> Problem:
    """What an owner refused, from its problem document."""
    document = verdict if isinstance(verdict, dict) else {}
    code, detail = document.get("type"), document.get("detail")
    return Problem(
        status,
        code.rpartition(":")[2] if isinstance(code, str) else "refused",
        detail if isinstance(detail, str) else "This cannot be done.",
    )
