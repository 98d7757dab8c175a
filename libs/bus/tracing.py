"""One consumer span per sampled record, and the trace context that travels on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from libs.bus.parsing import traceparent_of
from libs.bus.records import RawRecord

_propagator = TraceContextTextMapPropagator()
_SAMPLED = 0x01


def current_traceparent() -> str | None:
    """The current span as a W3C traceparent, or none."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def consuming(service: str, records: Sequence[RawRecord]) -> Iterator[Sequence[str | None]]:
    """Spans round the processing of a batch; gives for each record the trace context that follows from it.

    An unsampled record's context travels on unchanged, without the cost of a span. The span of a batch of one is the
    current one; with several, none is. What the block raises is told by its class alone: its text may quote content.
    """
    spans: list[trace.Span] = []
    contexts = [_begin(service, record, spans) for record in records]
    try:
        if len(records) == 1 and spans:
            with trace.use_span(spans[0], end_on_exit=False, record_exception=False, set_status_on_exception=False):
                yield contexts
        else:
            yield contexts
    except BaseException as error:
        for span in spans:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        for span in spans:
            span.end()


def _begin(service: str, record: RawRecord, spans: list[trace.Span]) -> str | None:
    traceparent = traceparent_of(record.headers)
    if traceparent is None or not int(traceparent[-2:], 16) & _SAMPLED:
        return traceparent
    span = trace.get_tracer("libs.bus").start_span(
        f"{record.topic} process",
        context=_propagator.extract({"traceparent": traceparent}),
        kind=SpanKind.CONSUMER,
        attributes={
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.destination.name": record.topic,
            "messaging.consumer.group.name": service,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
        },
    )
    spans.append(span)
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, context=trace.set_span_in_context(span))
    return carrier.get("traceparent", traceparent)
