"""Accepting: drafts become one command on the bus, and nothing is promised before Kafka has acknowledged it."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from libs.bus import OutcomeUnknown, Outgoing
from libs.contracts import topics
from libs.contracts.audience import Addresses, Audience, ClientIds, StoredAudience
from libs.contracts.commands import SendNotification
from libs.contracts.content import INLINE_LIMIT_BYTES
from libs.contracts.failures import Unavailable
from libs.contracts.ids import NotificationId, created_at, event_id
from libs.contracts.notification import Notification, order_key
from libs.contracts.routing import Channel, Lane
from libs.telemetry import tracing
from libs.wire import Problem
from services.gateway.authorization import Principal
from services.gateway.deadline import Deadline
from services.gateway.translation import Accepted, Draft

PUBLISH_SECONDS = 2.5
# Less than a call has, so that an ingest that hangs leaves time to say so.
STORE_SECONDS = 2.0
# Long lists are stored with ingest first; each holds megabytes while it is on its way.
STORING_AT_ONCE = 4
OUTCOME = "X-Accept-Outcome"
REFUSED = "Nothing can be accepted now. Try again."
UNKNOWN = "It is not known whether the call was accepted. Try again with the same Idempotency-Key."
# No list that is this short reaches the limit: an id has at most 19 digits, a phone number 16 characters.
NEVER_LONG = INLINE_LIMIT_BYTES // 24


class Intake(Protocol):
    """The way into the bus."""

    async def accept(self, outgoing: Outgoing, *, within: float) -> None:
        """Return once Kafka acknowledged. Raises Refused, OutcomeUnknown."""
        ...


class ContentStore(Protocol):
    """Where bodies too long for the bus are kept."""

    async def put(self, tenant: str, body: bytes) -> str:
        """Store and answer the sha256 as hex. Raises Unavailable."""
        ...


class Balances(Protocol):
    """What is left on tenants' accounts."""

    async def require(self, tenant: str, drafts: Sequence[Draft]) -> None:
        """Raises Problem 402 where the tenant's account is known not to pay for `drafts`."""
        ...


class Accepting:
    """Turns drafts into a command and hands it to Kafka."""

    def __init__(self, intake: Intake, content: ContentStore, balances: Balances) -> None:
        self._intake = intake
        self._content = content
        self._balances = balances
        self._storing = asyncio.Semaphore(STORING_AT_ONCE)

    async def accept(
        self,
        principal: Principal,
        dialect: str,
        drafts: Sequence[Draft],
        ids: Sequence[NotificationId],
        deadline: Deadline,
    ) -> Accepted:
        """Accept one call. `ids` has an id for each draft; everything else of the command follows from them and the
        drafts, so that a call repeated with the same ids is the same command.

        Raises Problem 402 for what cannot be paid, and Problem 503, whose `X-Accept-Outcome` says `refused` where
        nothing was handed over and `unknown` where the command may have been written.
        """
        attributes = {"notification.id": str(ids[0]), "notification.dialect": dialect}
        with tracing.span("accept", attributes=attributes):
            try:
                await self._balances.require(principal.tenant.name, drafts)
                command = await self._command(principal.tenant.name, dialect, drafts, ids, deadline)
                outgoing = Outgoing(topics.SEND_NOTIFICATION[lane_of(drafts)], command)
                await self._intake.accept(outgoing, within=deadline.left(PUBLISH_SECONDS))
            except OutcomeUnknown as error:
                raise unavailable("unknown", UNKNOWN) from error
            except Unavailable as error:
                raise unavailable("refused", REFUSED) from error
            trace_id = tracing.trace_id_of(tracing.current_traceparent())
        assert trace_id is not None  # inside a span there is always one
        return Accepted(tuple(drafts), tuple(ids), trace_id)

    async def _command(
        self,
        tenant: str,
        dialect: str,
        drafts: Sequence[Draft],
        ids: Sequence[NotificationId],
        deadline: Deadline,
    ) -> SendNotification:
        notifications = [
            await self._notification(tenant, draft, number, deadline) for draft, number in zip(drafts, ids, strict=True)
        ]
        return SendNotification(
            event_id=event_id(ids[0], SendNotification.TYPE, 0),
            tenant=tenant,
            key=_key(notifications),
            # Not the clock: whoever takes this call over must say the same.
            occurred_at=created_at(ids[0]),
            dialect=dialect,
            notifications=tuple(notifications),
        )

    async def _notification(
        self, tenant: str, draft: Draft, number: NotificationId, deadline: Deadline
    ) -> Notification:
        start = draft.start
        return Notification(
            notification_id=number,
            lane=draft.lane,
            channel=draft.channel,
            to=await self._audience(tenant, draft.channel, draft.to, deadline),
            content=draft.content,
            message_class=draft.message_class,
            at=None if start is None else start.at,
            wall=None if start is None else start.wall,
            zone=None if start is None else start.zone,
            expires_at=draft.expires_at,
            ordering_key=draft.ordering_key,
            fallback=draft.fallback,
            callback=draft.callback,
        )

    async def _audience(self, tenant: str, channel: Channel, to: ClientIds | Addresses, deadline: Deadline) -> Audience:
        listed = _listed(to)
        if len(listed) <= NEVER_LONG and channel is not Channel.WEBHOOK:
            return to
        body = to.model_dump_json().encode()
        if len(body) <= INLINE_LIMIT_BYTES:
            return to
        try:
            async with asyncio.timeout(deadline.left(STORE_SECONDS)), self._storing:
                sha256 = await self._content.put(tenant, body)
        except TimeoutError as error:
            raise Unavailable("a long list could not be stored in time") from error
        return StoredAudience(sha256=sha256, size=len(body), count=len(listed))


def lane_of(drafts: Sequence[Draft]) -> Lane:
    """A call is one record on one lane: urgent only if all of it is."""
    return Lane.URGENT if all(draft.lane is Lane.URGENT for draft in drafts) else Lane.BULK


def _key(notifications: Sequence[Notification]) -> str:
    """A call of several has no recipient of its own: it keeps the order of its first notification alone."""
    return order_key(notifications[0]) if len(notifications) == 1 else str(notifications[0].notification_id)


def unavailable(outcome: str, detail: str, *, retry_after: str = "1") -> Problem:
    """503 with what is known of the call: `refused` or `unknown`."""
    return Problem(503, "unavailable", detail, headers={"Retry-After": retry_after, OUTCOME: outcome})


def _listed(to: ClientIds | Addresses) -> tuple[int, ...] | tuple[str, ...]:
    return to.client_ids if isinstance(to, ClientIds) else to.addresses
