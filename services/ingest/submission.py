"""A call as one of the sources read it, before anything is decided."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Protocol, TypeAlias
from uuid import UUID, uuid5

from pydantic import Field

from libs.contracts.dead_letters import DeadLetter
from libs.contracts.envelope import Message
from libs.contracts.ids import NotificationId
from libs.contracts.notification import Notification
from libs.contracts.routing import Lane

Document: TypeAlias = Mapping[str, Any]

_RECORDS = UUID("3f0c7e0e-51b8-5c1c-9d8f-6d0a7f6f2f11")


class Submission(Message):
    """What was asked in one record. Never on the wire: it is made of what was.

    `request_id` is an internal producer's own id, unique in its tenant; then there is one notification and its id is a
    candidate, used only if the request is new. `original` is the record, for the dead letter of a refusal.
    """

    TYPE: ClassVar[str] = "submission"

    type: Literal["submission"] = "submission"
    dialect: Annotated[str, Field(max_length=32)]
    origin: Annotated[str, Field(max_length=400)]
    request_id: Annotated[str, Field(max_length=255)] | None = None
    notifications: Annotated[tuple[Notification, ...], Field(min_length=1)]
    original: DeadLetter


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a record came in. `new_id` makes an id for a record that names none."""

    record: DeadLetter
    recorded_at: datetime
    lane: Lane
    new_id: Callable[[], NotificationId]


class Source(Protocol):
    """Pure translation of one kind of record."""

    def recognises(self, document: Document) -> bool:
        """Whether the record is one of this kind."""
        ...

    def read(self, document: Document, arrival: Arrival) -> Submission:
        """What it asks for. Raises Unreadable."""
        ...


class Unreadable(Exception):  # noqa: N818 - a property of the record
    """The record is not what its kind promises. The text names places, never values."""


def place(record: DeadLetter) -> str:
    """Where a record stands: topic/partition/offset."""
    return f"{record.topic}/{record.partition}/{record.offset}"


def record_id(record: DeadLetter) -> UUID:
    """The cause of what follows from a record that has no event id of its own: its place, the same each time."""
    return uuid5(_RECORDS, place(record))
