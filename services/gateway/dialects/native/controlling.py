"""POST /notifications/{id}/pause, resume, cancel, reschedule and resend."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from libs.contracts.commands import ControlAction
from libs.contracts.ids import NotificationId, split_delivery_id
from libs.contracts.states import DeliveryState
from libs.wire import HttpRequest, HttpResponse, JsonValue
from services.gateway.dialects.native.fields import (
    api_key,
    notification_in,
    one_of,
    optional,
    optional_object,
    uuid,
)
from services.gateway.dialects.native.posting import in_zone
from services.gateway.faults import Fault, Faults
from services.gateway.instants import start
from services.gateway.translation import CONTROL, RESEND, Demand, Order, Owner, Petition

# What failed, and what nobody knows the end of; the rest has arrived, is on its way, or was meant not to go.
MAY_BE_RESENT = (
    DeliveryState.FAILED,
    DeliveryState.CARRIER_REJECTED,
    DeliveryState.NOT_DELIVERED,
    DeliveryState.NO_FUNDS,
    DeliveryState.EXPIRED,
    DeliveryState.UNKNOWN,
)
MAX_RESENT = 1_000

_START = frozenset({"at", "zone"})
_RESEND = frozenset({"states", "deliveries"})


@dataclass(frozen=True, slots=True)
class Control:
    """One of the actions that need nothing but the id, or, to reschedule, a new start."""

    action: ControlAction

    @property
    def name(self) -> str:
        return f"{self.action}_notification"

    @property
    def paths(self) -> tuple[str, ...]:
        return (f"/notifications/{{id}}/{self.action}",)

    @property
    def methods(self) -> tuple[str, ...]:
        return ("POST",)

    def demand(self, request: HttpRequest, segments: Mapping[str, str]) -> Demand:
        return Demand((api_key(request),), CONTROL)

    def order(self, request: HttpRequest, segments: Mapping[str, str], now: datetime) -> Order:
        notification_id = notification_in(segments)
        body, faults = optional_object(request), Faults()
        begin = None
        if self.action is ControlAction.RESCHEDULE:
            faults.unknown("", body, _START)
            if body.get("at") is None:
                faults.add("at", "is missing. Send the new start.")
            begin = start(body.get("at"), body.get("zone"), faults)
        elif body:
            faults.add(next(iter(body)) if len(body) == 1 else "body", "is not known here. Send no body.")
        if faults:
            raise faults.problem()
        return Order(notification_id, self.action, begin)

    def answer(self, order: Order) -> HttpResponse:
        document: dict[str, JsonValue] = {"id": str(order.notification_id), "action": order.action.value}
        return HttpResponse.json(202, document | in_zone(order.start))


@dataclass(frozen=True, slots=True)
class Resend:
    """Sends again what failed: by default all of it, else what is in some states, or the deliveries that are named.
    The tracker decides, for all of them or for none."""

    name: str = "resend_notification"
    paths: tuple[str, ...] = ("/notifications/{id}/resend",)
    methods: tuple[str, ...] = ("POST",)

    def demand(self, request: HttpRequest, segments: Mapping[str, str]) -> Demand:
        return Demand((api_key(request),), RESEND)

    def petition(self, request: HttpRequest, segments: Mapping[str, str]) -> Petition:
        about = notification_in(segments)
        body, faults = optional_object(request), Faults()
        faults.unknown("", body, _RESEND)
        if body.get("states") is not None and body.get("deliveries") is not None:
            faults.add("deliveries", "are named, so states say nothing more. Send one of them.")
        states = optional("states", _states, body, faults)
        deliveries = optional("deliveries", partial(_deliveries, about), body, faults)
        if faults:
            raise faults.problem()
        return Petition(
            Owner.TRACKER,
            f"/notifications/{about}/resend",
            body={"states": states, "deliveries": deliveries},
            about=about,
        )

    def answer(self, petition: Petition, verdict: JsonValue) -> HttpResponse:
        resent = verdict.get("resent") if isinstance(verdict, dict) else None
        return HttpResponse.json(202, {"id": str(petition.about), "resent": resent})


def _states(value: JsonValue) -> list[JsonValue]:
    if not isinstance(value, list) or not value:
        raise Fault("must be an array of states.")
    known = [one_of(DeliveryState, item) for item in value]
    if not set(known) <= set(MAY_BE_RESENT):
        raise Fault(f"may hold: {', '.join(MAY_BE_RESENT)}.")
    return [state.value for state in dict.fromkeys(known)]


def _deliveries(about: NotificationId, value: JsonValue) -> list[JsonValue]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_RESENT:
        raise Fault(f"must be an array of 1 to {MAX_RESENT} ids of deliveries.")
    ids = [uuid(item) for item in value]
    for position, found in enumerate(ids):
        if found is None or split_delivery_id(found).notification_id != about:
            raise Fault(f"must be ids of this notification's deliveries. Look at entry {position}.")
    if len(set(ids)) < len(ids):
        raise Fault("hold an id twice. Name each once.")
    return [str(found) for found in ids]
