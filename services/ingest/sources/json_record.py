"""Internal systems' records as plain JSON, documented in the README:

{"id", "tenant", "channel", "to": {"client_ids" | "addresses"}, "content": {"text", "sender"?}, "at"?, "expires_at"?,
 "lane"?, "class"?, "ordering_key"?, "event"?, "sender_key"?}

Times are RFC 3339 with an offset. A field not listed is refused by name: a misspelt "at" must not send at once.
"""

import re
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from libs.contracts.audience import MAX_LISTED, Address, Addresses, ClientId, ClientIds, InlineAudience
from libs.contracts.content import MAX_SMS_CHARACTERS, SmsContent
from libs.contracts.envelope import TenantId
from libs.contracts.notification import Notification
from libs.contracts.routing import Channel, Lane, MessageClass
from services.ingest.sources.reasons import describe
from services.ingest.submission import Arrival, Document, Submission, Unreadable, place, record_id

_DATE_WITH_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")
CLASS_OF_LANE = {Lane.URGENT: MessageClass.TRANSACTIONAL, Lane.BULK: MessageClass.BULK}


def _only_a_date_with_time(value: Any) -> Any:
    """A number, also one in quotation marks, would be read as seconds, or as milliseconds."""
    if not isinstance(value, str) or not _DATE_WITH_TIME.match(value):
        raise ValueError("a time is RFC 3339 text")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_only_a_date_with_time)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class To(_Record):
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


class Words(_Record):
    """The text and the sender shown."""

    text: Annotated[str, Field(min_length=1, max_length=MAX_SMS_CHARACTERS)]
    sender: Annotated[str, Field(min_length=1, max_length=32)] | None = None


class Record(_Record):
    """One record."""

    id: Annotated[str, Field(min_length=1, max_length=255)]
    tenant: TenantId
    channel: Channel
    to: To
    content: Words
    at: Instant | None = None
    expires_at: Instant | None = None
    lane: Lane | None = None
    message_class: Annotated[MessageClass | None, Field(alias="class")] = None
    ordering_key: Annotated[str, Field(min_length=1, max_length=200)] | None = None
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
    notification = Notification(
        notification_id=arrival.new_id(),
        lane=lane,
        channel=record.channel,
        to=record.to.audience(),
        content=SmsContent(text=record.content.text, sender=record.content.sender),
        message_class=record.message_class or CLASS_OF_LANE[lane],
        at=record.at,
        expires_at=record.expires_at,
        ordering_key=record.ordering_key,
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
