"""Starts and stops what a process says about itself."""

from pathlib import PurePosixPath
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit, urlunsplit

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from pydantic import Field

from libs.settings import Settings
from libs.telemetry import logs, tracing
from libs.telemetry.bounded import run_bounded
from libs.telemetry.exporting import PatientExporter

EXPORT_TIMEOUT = 2.0  # seconds for one request to the collector
CLOSE_TIMEOUT = 5.0
QUEUE_SIZE = 8_192
EXPORT_DELAY_MS = 1_000  # how long spans wait for company: what is queued dies with the process


class TelemetrySettings(Settings):
    """How much a process says, and to whom. `otlp_endpoint` is the collector's OTLP/HTTP base URL; none: no spans."""

    PREFIX: ClassVar[str] = "TELEMETRY_"

    otlp_endpoint: Annotated[str, Field(pattern=r"^https?://")] | None = None
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class Telemetry:
    """What is running."""

    def __init__(self, provider: TracerProvider | None = None, exporter: PatientExporter | None = None) -> None:
        self._provider = provider
        self._exporter = exporter

    def close(self) -> None:
        """Send what is still queued, for at most 5 s whatever the collector does. Never fails."""
        if self._provider is None or self._exporter is None:
            return
        tracing.use(None)
        provider, exporter = self._provider, self._exporter
        self._provider = self._exporter = None
        # The SDK's own bounds do not hold: force_flush ignores its timeout, and shutdown joins a worker that may be
        # in the middle of an export.
        run_bounded(provider.force_flush, CLOSE_TIMEOUT)
        run_bounded(exporter.shutdown, EXPORT_TIMEOUT)


def setup(service: str, settings: TelemetrySettings) -> Telemetry:
    """Logs to stderr from now on; spans to the collector when one is named.

    The collector can be away or slow: spans wait in a bounded queue that drops what does not fit, on a thread.
    """
    logs.setup(service, settings.log_level)
    if settings.otlp_endpoint is None:
        tracing.use(None)
        return Telemetry()
    exporter = PatientExporter(
        OTLPSpanExporter(endpoint=traces_url(settings.otlp_endpoint), timeout=EXPORT_TIMEOUT, session=_session())
    )
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(settings.sample_ratio)),
        resource=Resource({"service.name": service, "service.namespace": "carillon"}),
        shutdown_on_exit=False,  # its exit handler can hang until SIGKILL; ours is bounded
    )
    provider.add_span_processor(
        BatchSpanProcessor(exporter, max_queue_size=QUEUE_SIZE, schedule_delay_millis=EXPORT_DELAY_MS)
    )
    tracing.use(provider.get_tracer("carillon"))
    return Telemetry(provider, exporter)


def traces_url(endpoint: str) -> str:
    """Where spans go: the OTLP path is added to a base URL."""
    parts = urlsplit(endpoint)
    if PurePosixPath(parts.path).name == "traces":
        return endpoint
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + "/v1/traces"))


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session
