"""Controlling: an order about a notification becomes a command on the bus."""

from collections.abc import Callable
from datetime import datetime

from libs.bus import OutcomeUnknown, Outgoing
from libs.contracts import topics
from libs.contracts.commands import ControlNotification
from libs.contracts.failures import Unavailable
from libs.contracts.ids import NotificationId, created_at, event_id
from libs.telemetry import metrics, tracing
from libs.wire import Problem
from services.gateway.accepting import PUBLISH_SECONDS, REFUSED, UNKNOWN, Intake, unavailable
from services.gateway.authorization import Principal
from services.gateway.deadline import Deadline
from services.gateway.objections import objection
from services.gateway.reading import Tracker, is_young
from services.gateway.translation import Order

# A tracker that is away must not keep anybody from stopping a campaign.
ASK_SECONDS = 0.5


class Controlling:
    """Hands orders to Kafka."""

    def __init__(self, intake: Intake, tracker: Tracker, now: Callable[[], datetime]) -> None:
        self._intake = intake
        self._tracker = tracker
        self._now = now

    async def control(self, principal: Principal, order: Order, cause: NotificationId, deadline: Deadline) -> None:
        """Return once the order is on the bus. `cause` is an id of its own, from which all that is not in the order
        follows, so that a call repeated with the same one is the same command.

        Raises Problem 404 for an id that nobody has, 409 for what is over, and 503 as `Accepting.accept`.
        """
        await self._check(principal, order, deadline)
        with tracing.span("control", attributes={"notification.id": str(order.notification_id)}):
            try:
                outgoing = Outgoing(topics.CONTROL_NOTIFICATION.urgent, _command(principal.tenant.name, order, cause))
                await self._intake.accept(outgoing, within=deadline.left(PUBLISH_SECONDS))
            except OutcomeUnknown as error:
                raise unavailable("unknown", UNKNOWN) from error
            except Unavailable as error:
                raise unavailable("refused", REFUSED) from error
        metrics.GATEWAY_CONTROLLED.labels(order.action).inc()

    async def _check(self, principal: Principal, order: Order, deadline: Deadline) -> None:
        path = f"/notifications/{order.notification_id}"
        params = {"tenant": principal.tenant.name}
        try:
            status, found = await self._tracker.get_json(path, params=params, within=deadline.left(ASK_SECONDS))
        except Unavailable:
            return  # the scheduler keeps the order of what it does not know yet
        if status == 404 and not is_young(order.notification_id, self._now()):
            raise Problem(404, "not_found", "There is nothing with this id.")
        refused = objection(order, found) if status == 200 else None
        if refused is not None:
            raise refused


def _command(tenant: str, order: Order, cause: NotificationId) -> ControlNotification:
    start = order.start
    return ControlNotification(
        event_id=event_id(cause, ControlNotification.TYPE, 0),
        tenant=tenant,
        key=str(order.notification_id),
        occurred_at=created_at(cause),
        notification_id=order.notification_id,
        action=order.action,
        at=None if start is None else start.at,
        wall=None if start is None else start.wall,
        zone=None if start is None else start.zone,
    )
