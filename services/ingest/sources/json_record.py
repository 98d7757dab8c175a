"""Internal systems' records as plain JSON, documented in the README:

{"id", "tenant", "channel", "to": {"client_ids" | "addresses"}, "content", "at"?, "zone"?, "expires_at"?, "lane"?,
 "class"?, "ordering_key"?, "fallback"?: [{"channel", "after", "content"}], "callback"?: {"url"}, "event"?,
 "sender_key"?}

`content` is {"text", "sender"?} for sms, that and {"image_url"?, "button_text"?, "button_url"?} for viber, and
{"data"} (any JSON) or {"body", "content_type"?} for webhook. Times are RFC 3339 with an offset; beside a `zone` (an
IANA name) `at` has none and is what the clocks there show. `after` is in seconds. A field not listed is refused by
name: a misspelt "at" must not send at once.
"""

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, NamedTuple, Self

from pydantic import AwareDatetime, BeforeValidator, Field, ValidationError, model_validator

from libs.contracts.audience import MAX_LISTED, Address, Addresses, ClientId, ClientIds, InlineAudience
from libs.contracts.envelope import TenantId
from libs.contracts.ids import MAX_STEP
from libs.contracts.notification import Callback, Fallback, Notification
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.wall_clock import resolve
from services.ingest.sources.reasons import describe
from services.ingest.sources.words import Strict, content_of
from services.ingest.submission import Arrival, Document, Submission, Unreadable, place, record_id

# Whoever has no HTTP API is told of outcomes in the words of our own.
CALLBACK_DIALECT = "native"
CLASS_OF_LANE = {Lane.URGENT: MessageClass.TRANSACTIONAL, Lane.BULK: MessageClass.BULK}
LONGEST_WAIT = timedelta(days=7)

_DATE_WITH_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")


def _only_a_date_with_time(value: Any) -> Any:
    """A number, also one in quotation marks, would be read as seconds, or as milliseconds."""
    if not isinstance(value, str) or not _DATE_WITH_TIME.match(value):
        raise ValueError("a time is RFC 3339 text")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_only_a_date_with_time)]
Moment = Annotated[datetime, BeforeValidator(_only_a_date_with_time)]


class To(Strict):
    """Exactly one way of naming recipients."""

    client_ids: Annotated[tuple[ClientId, ...], Field(min_length=1, max_length=MAX_LISTED)] | None = None
    addresses: Annotated[tuple[Address, ...], Field(min_length=1, max_length=MAX_LISTED)] | None = None

    @model_validator(mode="after")
    def one_way(self) -> Self:
        """Refuse none and both."""
        if (self.client_ids is None) == (self.addresses is None):
            raise ValueError("give client_ids or addresses")
        return self

    def audience(self) -> InlineAudience:
        """Each recipient once, in the record's order."""
        if self.client_ids is not None:
            return ClientIds(client_ids=tuple(dict.fromkeys(self.client_ids)))
        return Addresses(addresses=tuple(dict.fromkeys(self.addresses or ())))


class Step(Strict):
    """What is tried for whoever has not got the message `after` so many seconds."""

    channel: Channel
    after: Annotated[float, Field(ge=1, le=LONGEST_WAIT.total_seconds(), strict=True)]
    content: dict[str, Any]


class CalledBack(Strict):
    """Where the producer wants to hear what became of it."""

    url: Annotated[str, Field(min_length=1, max_length=2048)]


class Record(Strict):
    """One record. What its `content` may hold depends on the channel."""

    id: Annotated[str, Field(min_length=1, max_length=255)]
    tenant: TenantId
    channel: Channel
    to: To
    content: dict[str, Any]
    at: Moment | None = None
    zone: Annotated[str, Field(max_length=64)] | None = None
    expires_at: Instant | None = None
    lane: Lane | None = None
    message_class: Annotated[MessageClass | None, Field(alias="class")] = None
    ordering_key: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    fallback: Annotated[tuple[Step, ...], Field(max_length=MAX_STEP)] | None = None
    callback: CalledBack | None = None
    event: Annotated[str, Field(max_length=200)] | None = None
    sender_key: Annotated[str, Field(max_length=200)] | None = None


class JsonRecord:
    """(tenant, id) names the request for ever."""

    def recognises(self, document: Document) -> bool:
        """Whatever nobody else knows: the reason for refusing it names its fields."""
        return True

    def read(self, document: Document, arrival: Arrival) -> Submission:
        """The record's one notification. Raises Unreadable."""
        return submission_of(document, arrival, dialect="json")


def submission_of(document: Document, arrival: Arrival, *, dialect: str) -> Submission:
    """The submission a record's fields ask for, on the lane of its topic unless it names one. Raises Unreadable."""
    try:
        record = Record.model_validate(document)
    except ValidationError as error:
        raise Unreadable(describe(error)) from None
    lane = record.lane or arrival.lane
    start = _start(record)
    notification = Notification(
        notification_id=arrival.new_id(),
        lane=lane,
        channel=record.channel,
        to=record.to.audience(),
        content=content_of(record.channel, record.content, place="content"),
        message_class=record.message_class or _usual_class(record.channel, lane),
        at=start.at,
        wall=start.wall,
        zone=record.zone,
        expires_at=record.expires_at,
        ordering_key=record.ordering_key,
        fallback=tuple(_fallback(index, step) for index, step in enumerate(record.fallback or ())),
        callback=None if record.callback is None else Callback(url=record.callback.url, dialect=CALLBACK_DIALECT),
        event=record.event,
        sender_key=record.sender_key,
    )
    return Submission(
        event_id=record_id(arrival.record),
        tenant=record.tenant,
        key=record.id,
        occurred_at=arrival.recorded_at,
        dialect=dialect,
        origin=place(arrival.record),
        request_id=record.id,
        notifications=(notification,),
        original=arrival.record,
    )


class _Start(NamedTuple):
    at: datetime | None
    wall: str | None = None


def _start(record: Record) -> _Start:
    if record.zone is None:
        if record.at is not None and record.at.tzinfo is None:
            raise Unreadable("at: Input should have timezone info, or a zone beside it")
        return _Start(record.at)
    if record.at is None or record.at.tzinfo is not None:
        raise Unreadable("at: Input should be what the clocks of the zone show, without an offset")
    try:
        return _Start(resolve(record.at, record.zone).instant, record.at.isoformat())
    except ValueError:
        raise Unreadable("zone: no such zone, or no such time in it") from None


def _usual_class(channel: Channel, lane: Lane) -> MessageClass:
    return MessageClass.WEBHOOK if channel is Channel.WEBHOOK else CLASS_OF_LANE[lane]


def _fallback(index: int, step: Step) -> Fallback:
    content = content_of(step.channel, step.content, place=f"fallback.{index}.content")
    return Fallback(channel=step.channel, after=timedelta(seconds=step.after), content=content)
