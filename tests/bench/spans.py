"""A small OTLP/HTTP collector that keeps spans in memory and says where a message's time goes."""

import gzip
import statistics
from collections import defaultdict

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """Takes `POST /v1/traces` on loopback."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._spans: list[tuple[bytes, str, str, int, int]] = []
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listens; raises OSError when the port is taken."""
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/traces", self._receive)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()

    async def stop(self) -> None:
        """Stops listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        export = ExportTraceServiceRequest.FromString(body)
        for resource in export.resource_spans:
            named = {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}
            service = named.get("service.name", "?")
            for scope in resource.scope_spans:
                for span in scope.spans:
                    times = (span.start_time_unix_nano, span.end_time_unix_nano)
                    self._spans.append((span.trace_id, service, span.name, *times))
        return web.Response(body=b"", content_type="application/x-protobuf")

    def print_slowest(self, *, last: str, count: int) -> None:
        """Span by span, the traces whose first span named `last` begins latest after the trace."""
        traces = defaultdict(list)
        for trace_id, *span in self._spans:
            traces[trace_id].append(span)
        lateness = {
            trace_id: min(span[2] for span in spans if span[1] == last) - min(span[2] for span in spans)
            for trace_id, spans in traces.items()
            if any(span[1] == last for span in spans)
        }
        for trace_id in sorted(lateness, key=lambda trace: -lateness[trace])[:count]:
            spans = sorted(traces[trace_id], key=lambda span: span[2])
            print(f"\nslow trace {trace_id.hex()}{'':<10}{'begins':>10}{'takes':>10}   ms")
            for service, name, start, end in spans:
                print(f"{service + ': ' + name:<54}{(start - spans[0][2]) / 1e6:>10.2f}{(end - start) / 1e6:>10.2f}")

    def print_stages(self) -> None:
        """A row a span: median begin after the trace's first span, and median length, in ms."""
        traces = defaultdict(list)
        for trace_id, *span in self._spans:
            traces[trace_id].append(span)
        begins: dict[tuple[str, str], list[float]] = defaultdict(list)
        lengths: dict[tuple[str, str], list[float]] = defaultdict(list)
        for spans in traces.values():
            first = min(span[2] for span in spans)
            for service, name, start, end in spans:
                begins[service, name].append((start - first) / 1e6)
                lengths[service, name].append((end - start) / 1e6)
        print(f"\n{len(traces)} traces{'':<34}{'begins':>10}{'takes':>10}   ms, medians")
        for key in sorted(begins, key=lambda key: statistics.median(begins[key])):
            name = f"{key[0]}: {key[1]}"
            print(f"{name:<44}{statistics.median(begins[key]):>10.2f}{statistics.median(lengths[key]):>10.2f}")
