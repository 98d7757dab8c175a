"""What a record's span says of the place it came from."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from libs.bus.parsing import traceparent_of
from libs.bus.records import RawRecord
from libs.telemetry import tracing


@contextmanager
def consuming(service: str, records: Sequence[RawRecord]) -> Iterator[Sequence[str | None]]:
    """Spans round the processing of a batch; gives for each record the trace context that follows from it."""

    def place(index: int) -> Mapping[str, str | int]:
        record = records[index]
        return {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.destination.name": record.topic,
            "messaging.consumer.group.name": service,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
        }

    traceparents = [traceparent_of(record.headers) for record in records]
    with tracing.consuming(f"{records[0].topic} process", traceparents, place) as contexts:
        yield contexts
