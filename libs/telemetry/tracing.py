"""Spans, and the trace context as the plain text that travels (W3C traceparent)."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

PlaceOf = Callable[[int], Mapping[str, AttributeValue]]

MAX_LINKS = 32  # a link costs 0.7 us, and nobody reads hundreds

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")

_ids = RandomIdGenerator()
_tracer: Tracer | None = None


def use(tracer: Tracer | None) -> None:
    """Make spans with `tracer` from now on; with none they are ids only, which still travel and are still answered."""
    global _tracer  # noqa: PLW0603 - one per process, set once at the start
    _tracer = tracer


@contextmanager
def span(
    name: str,
    *,
    traceparent: str | None = None,
    links: Iterable[str | None] = (),
    attributes: Mapping[str, AttributeValue] | None = None,
) -> Iterator[Span]:
    """A span around the block: child of `traceparent`, else of the current span, else the root of a new trace.

    `links` are traceparents of what else led here (at most 32 are kept). Attributes are opaque ids and counts, never
    addresses or texts; for the same reason an exception leaves its class on the span and not its message.
    """
    parent = _context_of(traceparent)
    made = _start(name, parent, links, attributes)
    token = otel_context.attach(set_span_in_context(made))
    try:
        yield made
    except BaseException as error:
        if made.is_recording() and isinstance(error, Exception):
            made.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        otel_context.detach(token)
        made.end()


@contextmanager
def consuming(name: str, traceparents: Sequence[str | None], place: PlaceOf) -> Iterator[Sequence[str | None]]:
    """A consumer's span around the block for each sampled record of a batch; gives the contexts that travel on.

    An unsampled record's context travels on unchanged, without the cost of a span. The span of a batch of one is the
    current one; with several, none is. `place(i)` gives the attributes of the i-th record.
    """
    spans = {
        index: _tracer.start_span(name, _below(parent), kind=SpanKind.CONSUMER, attributes=place(index))
        for index, traceparent in enumerate(traceparents)
        if _tracer is not None and (parent := _context_of(traceparent)) is not None and parent.trace_flags.sampled
    }
    contexts = [
        _as_traceparent(spans[index]) if index in spans else traceparent
        for index, traceparent in enumerate(traceparents)
    ]
    alone = spans[0] if spans and len(traceparents) == 1 else None
    token = otel_context.attach(set_span_in_context(alone)) if alone is not None else None
    try:
        yield contexts
    except BaseException as error:
        for span in spans.values():
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        if token is not None:
            otel_context.detach(token)
        for span in spans.values():
            span.end()


def current_traceparent() -> str | None:
    """The current span as a W3C traceparent, for a header."""
    return _as_traceparent(get_current_span())


def trace_id_of(traceparent: str | None) -> str | None:
    """The 32 hex digits of the trace in a traceparent; None when it is none or malformed."""
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return match[1] if match else None


def _start(
    name: str, parent: SpanContext | None, links: Iterable[str | None], attributes: Mapping[str, AttributeValue] | None
) -> Span:
    if _tracer is None:
        return _ids_only(parent)
    linked = [Link(linked_to) for link in links if (linked_to := _context_of(link)) is not None][:MAX_LINKS]
    above = _below(parent) if parent is not None else None
    return _tracer.start_span(name, context=above, links=linked, attributes=attributes)


def _below(parent: SpanContext) -> Context:
    return set_span_in_context(NonRecordingSpan(parent))


def _as_traceparent(span: Span) -> str | None:
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags) & 1:02x}"


def _ids_only(parent: SpanContext | None) -> Span:
    above = parent or get_current_span().get_span_context()
    trace_id = above.trace_id if above.is_valid else _ids.generate_trace_id()
    flags = above.trace_flags if above.is_valid else TraceFlags(TraceFlags.DEFAULT)
    return NonRecordingSpan(SpanContext(trace_id, _ids.generate_span_id(), is_remote=False, trace_flags=flags))


def _context_of(traceparent: str | None) -> SpanContext | None:
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if match is None:
        return None
    return SpanContext(
        int(match[1], 16), int(match[2], 16), is_remote=True, trace_flags=TraceFlags(int(match[3], 16) & 1)
    )
