"""From a record on the bus to a submission."""

from collections.abc import Callable
from datetime import UTC, datetime

from libs.bus import RawRecord, Undecodable
from libs.contracts.dead_letters import DeadLetter
from libs.contracts.ids import new_notification_id
from libs.contracts.routing import Lane
from services.ingest.parsing import parse
from services.ingest.sources import SOURCES
from services.ingest.submission import Arrival, Submission, Unreadable


def system_clock() -> datetime:
    """Only for the time in a candidate id; everything that is decided uses Postgres's clock."""
    return datetime.now(UTC)


class Decoder:
    """Reads every kind of record on `send.notification`."""

    def __init__(self, clock: Callable[[], datetime] = system_clock) -> None:
        self._clock = clock

    def __call__(self, record: RawRecord) -> Submission:
        """Raises Undecodable; its reason names fields, never values."""
        try:
            document = parse(record.value)
            source = next(source for source in SOURCES.values() if source.recognises(document))
            return source.read(document, self._arrival(record))
        except Unreadable as error:
            raise Undecodable("Unreadable", str(error)) from None

    def _arrival(self, record: RawRecord) -> Arrival:
        original = DeadLetter(
            record.topic,
            record.partition,
            record.offset,
            record.key,
            record.value,
            record.headers,
            error_class="Refused",
            reason="",
            recorded_at=record.timestamp,
        )
        return Arrival(
            record=original,
            recorded_at=record.timestamp,
            lane=Lane(record.topic.rpartition(".")[2]),
            new_id=lambda: new_notification_id(self._clock()),
        )
