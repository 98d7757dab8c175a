"""Spans on their way to the collector, which may be away: nothing else must feel it."""

import logging
import time
from collections.abc import Callable, Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from libs.telemetry import metrics

logger = logging.getLogger(__name__)

PAUSE = 5.0  # seconds in which nothing is tried after a failure


class PatientExporter(SpanExporter):
    """Drops spans for a while after a failure, instead of encoding and retrying each batch, and says so once."""

    def __init__(self, exporter: SpanExporter, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._exporter = exporter
        self._clock = clock
        self._is_away = False
        self._next_try = 0.0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send `spans`, or drop and count them."""
        if self._is_away and self._clock() < self._next_try:
            return self._drop(spans)
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            if not self._is_away:
                logger.warning("the collector does not take spans: they are dropped until it does")
            self._is_away = True
            self._next_try = self._clock() + PAUSE
            return self._drop(spans)
        if self._is_away:
            self._is_away = False
            logger.info("the collector takes spans again")
        return result

    def shutdown(self) -> None:
        """Give up what is being sent."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held here."""
        return True

    def _drop(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        metrics.SPANS_DROPPED.inc(len(spans))
        return SpanExportResult.FAILURE
