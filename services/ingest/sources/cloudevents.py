"""CloudEvents 1.0 in structured mode, with the plain record as `data`: https://github.com/cloudevents/spec, v1.0.2.

Attributes we do not know are extensions and ignored, as the specification asks. `data.id` names the request; where it
is missing, source and id of the event do, which CloudEvents promises to be unique together.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.ingest.sources.json_record import submission_of
from services.ingest.sources.reasons import describe
from services.ingest.submission import Arrival, Document, Submission, Unreadable

Text = Annotated[str, Field(min_length=1)]


class Event(BaseModel):
    """The attributes that matter here."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    specversion: Literal["1.0"]
    id: Text
    source: Text
    type: Text
    datacontenttype: Annotated[str, Field(pattern=r"(?i)^application/([a-z0-9.+-]+\+)?json\s*(;.*)?$")] | None = None
    data: dict[str, Any]


class CloudEvents:
    """An envelope around the plain record."""

    def recognises(self, document: Document) -> bool:
        """By the one attribute that every version of the specification requires."""
        return "specversion" in document

    def read(self, document: Document, arrival: Arrival) -> Submission:
        """What the event's data asks for. Raises Unreadable."""
        if "data_base64" in document:
            raise Unreadable("data_base64: give the record as JSON in data")
        try:
            event = Event.model_validate(document)
        except ValidationError as error:
            raise Unreadable(describe(error)) from None
        return submission_of({"id": f"{event.source}#{event.id}", **event.data}, arrival, dialect="cloudevents")
