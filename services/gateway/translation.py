"""What the engine and a dialect say to each other: plain values, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from libs.contracts.audience import Addresses, ClientIds
from libs.contracts.commands import ControlAction
from libs.contracts.content import InlineContent, WebhookContent
from libs.contracts.events import DeliverySettled, NotificationCompleted
from libs.contracts.ids import NotificationId
from libs.contracts.notification import Callback, Fallback
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.wire import HttpRequest, HttpResponse, JsonValue, Problem

SEND = "notifications:send"
READ = "notifications:read"
CONTROL = "notifications:control"
RESEND = "notifications:resend"
SECRETS = "secrets:read"

News = DeliverySettled | NotificationCompleted
"""What a caller who asked for callbacks is told of."""


@dataclass(frozen=True, slots=True)
class Token:
    """A secret as the caller showed it. `kind` names the credential it has to be, such as `altegio.partner`."""

    kind: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Demand:
    """What a call needs before its body is read.

    Every token is verified, all belong to one tenant, and each grants `scope`; the first is the one whose requests are
    counted. `resource` (such as `location/1`) has to be known to the tenant and open to each credential.
    """

    tokens: tuple[Token, ...]
    scope: str
    resource: str | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """When a notification may leave. `wall` (ISO 8601 without an offset) and `zone` are what the caller gave, where it
    gave a wall-clock time; `adjusted` says that clocks skip that time (`gap`) or show it twice (`overlap`)."""

    at: datetime
    wall: str | None = None
    zone: str | None = None
    adjusted: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """One notification as it was asked for: everything but its ids."""

    channel: Channel
    to: ClientIds | Addresses
    content: InlineContent
    lane: Lane
    message_class: MessageClass
    start: Start | None = None
    expires_at: datetime | None = None
    ordering_key: str | None = None
    fallback: tuple[Fallback, ...] = ()
    callback: Callback | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the platform gave the accepted call: an id for each of its drafts, in their order, and its trace."""

    drafts: tuple[Draft, ...]
    notification_ids: tuple[NotificationId, ...]
    trace_id: str


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done to a notification that was accepted; `start` is the new one where it is rescheduled."""

    notification_id: NotificationId
    action: ControlAction
    start: Start | None = None


class Owner(StrEnum):
    """Whom the gateway can ask for a verdict; itself, too."""

    TRACKER = "tracker"
    GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class Petition:
    """What an owner is asked to decide or to tell, over its internal HTTP; the tenant is added. With a `body` it is a
    POST, without one a GET. `about` is the id it is about, if it is about one."""

    owner: Owner
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: JsonValue = None
    about: UUID | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What the tracker is asked: its path and parameters, and the id that it is about."""

    about: UUID
    path: str
    params: Mapping[str, str]


class SendCall(Protocol):
    """A call that asks for notifications. `paths` are the spellings of the same call, with `{names}` for their
    variable segments. Everything raises `Problem` for what it cannot accept."""

    @property
    def name(self) -> str:
        """Unique within the dialect; idempotency keys are remembered per call."""
        ...

    @property
    def paths(self) -> tuple[str, ...]: ...

    @property
    def methods(self) -> tuple[str, ...]: ...

    def demand(self, request: HttpRequest, segments: Mapping[str, str]) -> Demand:
        """Reads the head alone: the body has not been read yet."""
        ...

    def drafts(self, request: HttpRequest, now: datetime) -> tuple[Draft, ...]:
        """What is asked for; nothing in it depends on `now`, which only tells what is too late."""
        ...

    def answer(self, accepted: Accepted) -> HttpResponse: ...


class ReadCall(Protocol):
    """A GET that the tracker answers."""

    @property
    def name(self) -> str: ...

    @property
    def paths(self) -> tuple[str, ...]: ...

    def demand(self, request: HttpRequest, segments: Mapping[str, str]) -> Demand: ...

    def question(self, request: HttpRequest, segments: Mapping[str, str]) -> Question: ...

    def answer(self, found: JsonValue) -> HttpResponse: ...

    def answer_early(self, about: UUID) -> HttpResponse:
        """The tracker has not heard of it, but it is so young that it may be on its way."""
        ...


class ControlCall(Protocol):
    """A call that orders something about a notification. It is answered when the order is on the bus: it takes effect
    in the order of acknowledgement, also for a notification whose acceptance is still on its way."""

    @property
    def name(self) -> str: ...

    @property
    def paths(self) -> tuple[str, ...]: ...

    @property
    def methods(self) -> tuple[str, ...]: ...

    def demand(self, request: HttpRequest, segments: Mapping[str, str]) -> Demand: ...

    def order(self, request: HttpRequest, segments: Mapping[str, str], now: datetime) -> Order:
        """What is ordered; nothing in it depends on `now`, which only tells what is too late."""
        ...

    def answer(self, order: Order) -> HttpResponse: ...


class OwnerCall(Protocol):
    """A call whose answer is its owner's verdict, or data that only the owner has. What the owner refuses is a Problem
    with the owner's status, code and words."""

    @property
    def name(self) -> str: ...

    @property
    def paths(self) -> tuple[str, ...]: ...

    @property
    def methods(self) -> tuple[str, ...]: ...

    def demand(self, request: HttpRequest, segments: Mapping[str, str]) -> Demand: ...

    def petition(self, request: HttpRequest, segments: Mapping[str, str]) -> Petition: ...

    def answer(self, petition: Petition, verdict: JsonValue) -> HttpResponse: ...


class Dialect(Protocol):
    """Somebody's HTTP shape."""

    @property
    def name(self) -> str: ...

    @property
    def sends(self) -> tuple[SendCall, ...]: ...

    @property
    def reads(self) -> tuple[ReadCall, ...]: ...

    @property
    def controls(self) -> tuple[ControlCall, ...]: ...

    @property
    def petitions(self) -> tuple[OwnerCall, ...]: ...

    def refuse(self, problem: Problem) -> HttpResponse:
        """The same problem in this API's own error form."""
        ...

    def tell(self, news: News) -> tuple[WebhookContent, ...]:
        """The bodies, one a request, in which this API tells its caller what became of a notification. The same
        news gives the same bodies. None where it has no words for it."""
        ...
