"""What a provider is: pure translation between our deliveries and somebody's wire, and what a carrier does with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple, Protocol, runtime_checkable

from libs.contracts.content import InlineContent
from libs.contracts.outcomes import Accepted, Ambiguous, Outcome
from libs.contracts.states import DeliveryState
from libs.wire import HttpRequest, HttpResponse


class Outbound(NamedTuple):
    """One message as a provider gets it. `reference` is the provider key, 32 hex digits, the same for every attempt;
    `content` is one object for a whole chunk."""

    reference: str
    to: str
    content: InlineContent
    tenant: str


class Report(NamedTuple):
    """What a carrier told about one message later. `reported_at` is the carrier's clock."""

    provider_message_id: str
    state: DeliveryState
    code: str
    reported_at: datetime


@dataclass(frozen=True, slots=True)
class Reports:
    """What a callback held: the reports we understood, and how many we did not."""

    understood: Sequence[Report]
    ignored: int = 0


class Provider(Protocol):
    """A provider over HTTP."""

    @property
    def name(self) -> str:
        """As settings and reports call it."""
        ...

    @property
    def batch(self) -> int:
        """The most messages in a request."""
        ...

    def request(self, messages: Sequence[Outbound]) -> HttpRequest:
        """What to write for 1 to `batch` messages."""
        ...

    def outcomes(self, response: HttpResponse, references: Sequence[str]) -> Sequence[Outcome]:
        """How to read the answer: an outcome for each reference, in their order, whatever the answer is."""
        ...

    def receipts(self, callback: HttpRequest) -> Reports:
        """How to read a callback. Raises ValueError, without the callback's content, when it is none."""
        ...


class NotKnown:
    """The provider never heard of a reference."""


NOT_KNOWN = NotKnown()

# What a provider says about a reference it may have been given: taken, never heard of, or no word.
Answer = Accepted | NotKnown | Ambiguous


@runtime_checkable
class Answering(Protocol):
    """A provider that can also be asked what became of references."""

    def query(self, references: Sequence[str]) -> HttpRequest:
        """What to write for 1 to `batch` references."""
        ...

    def answers(self, response: HttpResponse, references: Sequence[str]) -> Sequence[Answer]:
        """How to read what comes back: for each reference, in their order."""
        ...


class CallFailed(list[Outcome]):
    """The outcomes of a call that came to nothing as a whole: no connection, no answer, or a carrier that is broken."""


class Carrier(Protocol):
    """Whoever takes messages: a provider with its transport. `send` never raises for what the other side does."""

    @property
    def name(self) -> str:
        """The route, as logs and spans call it."""
        ...

    @property
    def batch(self) -> int:
        """The most messages in a submission."""
        ...

    async def send(self, messages: Sequence[Outbound]) -> Sequence[Outcome]:
        """Submit 1 to `batch` messages; an outcome for each, in their order, as CallFailed where it is about the
        carrier and not about them."""
        ...


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """The header's delay (RFC 9110, 10.2.3); a date counts from the answer's own Date. None when it says nothing."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal() and len(text) < 10:
        return timedelta(seconds=int(text))
    try:
        delay = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    return max(delay, timedelta(0))
