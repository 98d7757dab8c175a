"""What the engine and a dialect say to each other: plain values, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from libs.contracts.audience import Addresses, ClientIds
from libs.contracts.content import InlineContent
from libs.contracts.ids import NotificationId
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.wire import HttpRequest, HttpResponse, JsonValue, Problem

SEND = "notifications:send"
READ = "notifications:read"


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
class Draft:
    """One notification as it was asked for: everything but its ids."""

    channel: Channel
    to: ClientIds | Addresses
    content: InlineContent
    lane: Lane
    message_class: MessageClass
    at: datetime | None = None
    expires_at: datetime | None = None
    ordering_key: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the platform gave the accepted call: an id for each of its drafts, in their order, and its trace."""

    notification_ids: tuple[NotificationId, ...]
    trace_id: str


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


class Dialect(Protocol):
    """Somebody's HTTP shape."""

    @property
    def name(self) -> str: ...

    @property
    def sends(self) -> tuple[SendCall, ...]: ...

    @property
    def reads(self) -> tuple[ReadCall, ...]: ...

    def refuse(self, problem: Problem) -> HttpResponse:
        """The same problem in this API's own error form."""
        ...
