"""A route: one way out of a channel, with what its operator says about it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from libs.contracts.routing import Lane, MessageClass
from libs.wire import HttpRequest
from services.dispatchers.provider import Answer, Carrier, Reports

DEFAULT_PRIORITY = 100


class Unknown(StrEnum):
    """What is done about a message of which nobody knows whether the carrier took it."""

    RESEND = "resend"  # to the same provider with the same key
    QUERY = "query"  # ask the provider, and send again what it does not know
    PARK = "park"  # nothing: it is left to an operator


Query = Callable[[Sequence[str]], Awaitable[Sequence[Answer]]]


class Callbacks(Protocol):
    """Reads what a carrier reports later."""

    def receipts(self, callback: HttpRequest) -> Reports:
        """Raises ValueError, without the callback's content, when it is none."""
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """A carrier and how it is used. `name` is unique in its channel and goes into events and receipt addresses.

    Of the routes that are open, those that name a tenant come before those that serve everybody (`tenants` empty), then
    the lowest `priority` first. `rate` is the messages a second that all processes together may send. A route that is
    not `shared` leads to an address of the recipient's own, a caller's endpoint: its carrier guards each of them by
    itself, and what one of them answers shuts nothing for the others.
    """

    name: str
    carrier: Carrier
    concurrency: Mapping[Lane, int]
    priority: int = DEFAULT_PRIORITY
    rate: float | None = None
    tenants: frozenset[str] = frozenset()
    unknown: Mapping[MessageClass, Unknown] = field(default_factory=dict)
    shared: bool = True
    query: Query | None = None
    callbacks: Callbacks | None = None

    def unknown_policy(self, message_class: MessageClass) -> Unknown:
        """For messages of a class; to send again unless something else was said."""
        return self.unknown.get(message_class, Unknown.RESEND)

    def serves(self, tenant: str) -> bool:
        """Whether a tenant's messages may take it."""
        return not self.tenants or tenant in self.tenants
