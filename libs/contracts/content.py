"""What is said: the words of a message, per channel, or a reference to them."""

from typing import Annotated, Literal

from pydantic import Field

from libs.contracts.model import Model

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

# What is larger travels by reference: Kafka's default record limit is 1 MiB and every hop would carry it again.
INLINE_LIMIT_BYTES = 256 * 1024
# Twilio's limit for a concatenated message; ten segments of GSM-7 hold 1,530.
MAX_SMS_CHARACTERS = 1600
# Viber's limit for the text of a business message.
MAX_VIBER_CHARACTERS = 1000


class SmsContent(Model):
    """The text of an SMS and, where the caller names one, the sender shown on the phone."""

    kind: Literal["sms"] = "sms"
    text: Annotated[str, Field(min_length=1, max_length=MAX_SMS_CHARACTERS)]
    sender: Annotated[str, Field(min_length=1, max_length=32)] | None = None


class ViberContent(Model):
    """A Viber business message: words, and optionally a picture and a button below them."""

    kind: Literal["viber"] = "viber"
    text: Annotated[str, Field(min_length=1, max_length=MAX_VIBER_CHARACTERS)]
    sender: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    image_url: Annotated[str, Field(max_length=2048)] | None = None
    button_text: Annotated[str, Field(max_length=30)] | None = None
    button_url: Annotated[str, Field(max_length=2048)] | None = None


class WebhookContent(Model):
    """A body that is posted as it is; the dispatcher adds the signature."""

    kind: Literal["webhook"] = "webhook"
    body: Annotated[str, Field(max_length=INLINE_LIMIT_BYTES)]
    content_type: Annotated[str, Field(pattern=r"^[!-~]+(; ?[!-~]+)?$", max_length=100)] = "application/json"


class StoredContent(Model):
    """Content that ingest keeps under its hash: the JSON of one of the kinds above."""

    kind: Literal["stored"] = "stored"
    sha256: Sha256
    size: Annotated[int, Field(gt=0)]


InlineContent = SmsContent | ViberContent | WebhookContent
Content = Annotated[SmsContent | ViberContent | WebhookContent | StoredContent, Field(discriminator="kind")]
