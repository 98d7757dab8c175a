import asyncio
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from libs.telemetry import tracing

TRACE = "a" * 32
PARENT = f"00-{TRACE}-{'b' * 16}-01"
UNSAMPLED = f"00-{TRACE}-{'b' * 16}-00"


@pytest.fixture
def finished() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider.get_tracer("test"))
    yield exporter
    tracing.use(None)


def test_a_child_of_what_travelled(finished: InMemorySpanExporter) -> None:
    links = [None, "nonsense", *(f"00-{TRACE}-{n:016x}-01" for n in range(1, 100))]
    with tracing.span("outer", traceparent=PARENT, links=links, attributes={"chunk": "c"}), tracing.span("inner"):
        assert tracing.trace_id_of(tracing.current_traceparent()) == TRACE
    inner, outer = finished.get_finished_spans()
    assert (inner.name, outer.name) == ("inner", "outer")
    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id
    assert outer.parent is not None
    assert f"{outer.parent.span_id:016x}" == "b" * 16
    assert len(outer.links) == tracing.MAX_LINKS
    assert outer.attributes == {"chunk": "c"}
    assert tracing.current_traceparent() is None


def test_an_exception_leaves_its_class_and_not_its_message(finished: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="48600100200"), tracing.span("x"):
        raise ValueError("+48600100200")
    [span] = finished.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError")
    assert span.events == ()


def test_without_a_collector_ids_still_travel() -> None:
    with tracing.span("root") as root:
        first = tracing.current_traceparent()
        assert not root.is_recording()
        with tracing.span("inner"):
            second = tracing.current_traceparent()
    assert first is not None
    assert second is not None
    assert first != second
    assert tracing.trace_id_of(first) == tracing.trace_id_of(second)
    assert first.endswith("-00")
    assert tracing.current_traceparent() is None


@pytest.mark.parametrize("given", [PARENT, UNSAMPLED])
def test_without_a_collector_the_callers_trace_is_kept(given: str) -> None:
    with tracing.span("x", traceparent=given):
        current = tracing.current_traceparent()
    assert current is not None
    assert tracing.trace_id_of(current) == TRACE
    assert current[-2:] == given[-2:]
    assert current != given


async def test_tasks_do_not_see_each_others_spans() -> None:
    async def work() -> str | None:
        with tracing.span("x"):
            await asyncio.sleep(0)
            return tracing.trace_id_of(tracing.current_traceparent())

    ids = await asyncio.gather(*(work() for _ in range(5)))
    assert len(set(ids)) == 5


@pytest.mark.parametrize(
    ("traceparent", "trace_id"),
    [
        (PARENT, TRACE),
        (PARENT.replace("00-", "01-", 1) + "-more", TRACE),
        (None, None),
        ("", None),
        ("nonsense", None),
        (f"ff-{TRACE}-{'b' * 16}-01", None),
        (f"00-{'0' * 32}-{'b' * 16}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (PARENT.upper(), None),
        (PARENT + "\n", None),
    ],
)
def test_trace_id_of(traceparent: str | None, trace_id: str | None) -> None:
    assert tracing.trace_id_of(traceparent) == trace_id
