import logging
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from libs.telemetry.exporting import PAUSE, PatientExporter


class Scripted(SpanExporter):
    def __init__(self, *results: SpanExportResult) -> None:
        self.results = list(results)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self.results.pop(0)


GOOD, BAD = SpanExportResult.SUCCESS, SpanExportResult.FAILURE


def test_a_collector_that_is_away_is_tried_now_and_then_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    inner = Scripted(GOOD, BAD, BAD, GOOD, GOOD, GOOD)
    exporter = PatientExporter(inner, clock=lambda: now)
    span = ReadableSpan("x")
    seen = []
    with caplog.at_level(logging.INFO):
        for moment in (0.0, 0.1, 0.2, PAUSE, PAUSE + 1, PAUSE * 2 + 1, PAUSE * 3, PAUSE * 3):
            now = moment
            seen.append(exporter.export([span]))
    assert seen == [GOOD, BAD, BAD, BAD, BAD, GOOD, GOOD, GOOD]
    assert inner.results == []
    assert [record.message for record in caplog.records] == [
        "the collector does not take spans: they are dropped until it does",
        "the collector takes spans again",
    ]
