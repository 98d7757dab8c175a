"""What an internal producer's record says on each channel."""

from collections.abc import Mapping
from typing import Annotated, Any, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from libs.contracts.content import (
    INLINE_LIMIT_BYTES,
    MAX_SMS_CHARACTERS,
    MAX_VIBER_CHARACTERS,
    InlineContent,
    SmsContent,
    ViberContent,
    WebhookContent,
)
from libs.contracts.routing import Channel
from libs.wire import json_bytes
from services.ingest.sources.reasons import describe
from services.ingest.submission import Unreadable

Sender = Annotated[str, Field(min_length=1, max_length=32)]
# http and https alone: no `javascript:` and no `data:` gets into a message.
Link = Annotated[str, Field(pattern=r"^[hH][tT][tT][pP][sS]?://[^\s\x00-\x20\x7f<>\"\\^`{|}]+$", max_length=2048)]


class Strict(BaseModel):
    """A part of a record: what is not listed in it is refused by name."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Words(Protocol):
    """What is said on one channel, as a record has it."""

    def content(self) -> InlineContent:
        """The same as the contracts have it. Raises ValueError for what cannot be written down."""
        ...


class SmsWords(Strict):
    """The text and the sender shown."""

    text: Annotated[str, Field(min_length=1, max_length=MAX_SMS_CHARACTERS)]
    sender: Sender | None = None

    def content(self) -> SmsContent:
        return SmsContent(text=self.text, sender=self.sender)


class ViberWords(Strict):
    """The text, and a picture and a button below it."""

    text: Annotated[str, Field(min_length=1, max_length=MAX_VIBER_CHARACTERS)]
    sender: Sender | None = None
    image_url: Link | None = None
    button_text: Annotated[str, Field(min_length=1, max_length=30)] | None = None
    button_url: Link | None = None

    @model_validator(mode="after")
    def whole_button(self) -> Self:
        """Refuse a button that leads nowhere, and a link that nobody sees."""
        if (self.button_text is None) != (self.button_url is None):
            raise ValueError("give both button_text and button_url")
        return self

    def content(self) -> ViberContent:
        return ViberContent(**dict(self))


class WebhookWords(Strict):
    """Any JSON, or a body that is posted as it is."""

    data: Any = None
    body: Annotated[str, Field(max_length=INLINE_LIMIT_BYTES)] | None = None
    content_type: Annotated[str, Field(pattern=r"^[!-~]+(; ?[!-~]+)?$", max_length=100)] | None = None

    @model_validator(mode="after")
    def one_way(self) -> Self:
        """Refuse none and both."""
        if ("data" in self.model_fields_set) == (self.body is not None):
            raise ValueError("give data or body")
        if self.content_type is not None and self.body is None:
            raise ValueError("content_type belongs to a body")
        return self

    def content(self) -> WebhookContent:
        if self.body is None:
            return WebhookContent(body=json_bytes(self.data).decode())
        given = {} if self.content_type is None else {"content_type": self.content_type}
        return WebhookContent(body=self.body, **given)


WORDS: Mapping[Channel, type[SmsWords | ViberWords | WebhookWords]] = {
    Channel.SMS: SmsWords,
    Channel.VIBER: ViberWords,
    Channel.WEBHOOK: WebhookWords,
}


def content_of(channel: Channel, given: Mapping[str, Any], *, place: str) -> InlineContent:
    """What is said on `channel`; `place` is where it stands in the record. Raises Unreadable."""
    try:
        return WORDS[channel].model_validate(given).content()
    except ValidationError as error:
        raise Unreadable(describe(error, within=place)) from None
    except ValueError:
        raise Unreadable(f"{place}.data: cannot be written as JSON") from None
