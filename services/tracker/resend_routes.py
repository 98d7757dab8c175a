"""Internal HTTP: sending again what did not arrive. The verdict is this service's and is given at once."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from libs.contracts.ids import NotificationId
from libs.contracts.states import DeliveryState
from libs.web import read_body
from libs.wire import JsonValue, Problem, parse_json
from services.tracker.parameters import answer, path_id, tenant_of, unknown
from services.tracker.resending import NothingSuch, Refused, Resending
from services.tracker.resends import DEFAULT_STATES, RESENDABLE_STATES

MOST_DELIVERIES = 10_000
BODY_LIMIT = 1024 * 1024
SHOWN = 100  # of the deliveries that stand in the way


def _each_once(deliveries: tuple[UUID, ...]) -> tuple[UUID, ...]:
    if len(set(deliveries)) < len(deliveries):
        raise ValueError("each delivery once")
    return deliveries


class Order(BaseModel):
    """What is to be sent again: what stands in `states`, of `deliveries` where they are given."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    states: Annotated[frozenset[DeliveryState], Field(min_length=1)] | None = None
    deliveries: (
        Annotated[tuple[UUID, ...], Field(min_length=1, max_length=MOST_DELIVERIES), AfterValidator(_each_once)] | None
    ) = None


class ResendRoutes:
    """POST /notifications/{id}/resend?tenant="""

    def __init__(self, resending: Resending) -> None:
        self._resending = resending

    def add_to(self, app: web.Application) -> None:
        """Register the route."""
        app.router.add_post("/notifications/{id}/resend", self.resend)

    async def resend(self, request: web.Request) -> web.Response:
        """200 with how many; 404 for what the tenant does not have, 409 where nothing is sent again."""
        notification = NotificationId(path_id(request)), tenant_of(request)
        order = _order(await read_body(request, limit=BODY_LIMIT))
        states = order.states or DEFAULT_STATES
        if not states <= RESENDABLE_STATES:
            names = ", ".join(state for state in DeliveryState if state in RESENDABLE_STATES)
            raise Problem(400, "invalid_states", f"What can be sent again stands in one of: {names}.")
        try:
            resent = await self._resending.resend(notification, states, order.deliveries)
        except NothingSuch:
            unknown()
        except Refused as refusal:
            raise Problem(409, refusal.code, refusal.reason, extra=_standing_in_the_way(refusal.deliveries)) from None
        return answer({"id": str(notification[0]), "resent": resent.deliveries, "has_more": resent.has_more})


def _standing_in_the_way(deliveries: Sequence[UUID]) -> dict[str, JsonValue]:
    return {"deliveries": [str(delivery) for delivery in deliveries[:SHOWN]]} if deliveries else {}


def _order(body: bytes) -> Order:
    try:
        return Order.model_validate(parse_json(body) if body else {})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise Problem(400, "invalid_body", f"{where}: {first['msg']}") from None
