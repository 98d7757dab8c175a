"""A record that could not be processed, with all that is needed to look at it and to send it round again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """The original bytes, where they stood, and why they could not be processed. `reason` holds no message content;
    `recorded_at` is the record's own timestamp, so that what follows from it is the same each time."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    error_class: str
    reason: str
    recorded_at: datetime | None = None
