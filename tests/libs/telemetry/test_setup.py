import logging
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from libs.settings import SettingsError, load
from libs.telemetry import TelemetrySettings, setup, tracing
from libs.telemetry.setup import traces_url


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


class Collector:
    """An OTLP/HTTP endpoint that counts what it is sent."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.bytes = 0
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.paths.append(self.path)
                collector.bytes += len(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Stay silent."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield collector
    collector.server.shutdown()
    thread.join()
    collector.server.server_close()


def test_close_sends_what_is_queued(collector: Collector) -> None:
    telemetry = setup("example", TelemetrySettings(otlp_endpoint=collector.url))
    with tracing.span("x") as span:
        assert span.is_recording()
    telemetry.close()
    telemetry.close()
    assert collector.paths == ["/v1/traces"]
    assert collector.bytes > 0
    with tracing.span("x") as span:
        assert not span.is_recording()


def test_a_share_of_traces(collector: Collector) -> None:
    telemetry = setup("example", TelemetrySettings(otlp_endpoint=collector.url, sample_ratio=0))
    with tracing.span("x") as span:
        assert not span.is_recording()
        assert tracing.current_traceparent() is not None
    telemetry.close()
    assert collector.paths == []


@pytest.mark.parametrize("answers", [False, True], ids=["refuses", "black hole"])
def test_a_collector_that_is_away_holds_nothing_up(answers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["libs.telemetry.setup"], "CLOSE_TIMEOUT", 0.3)
    monkeypatch.setattr(sys.modules["libs.telemetry.setup"], "EXPORT_TIMEOUT", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if answers:
            silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        telemetry = setup("example", TelemetrySettings(otlp_endpoint=endpoint))
        for _ in range(20_000):  # more than the queue holds
            with tracing.span("x"):
                pass
        closing = threading.Thread(target=telemetry.close)
        closing.start()
        closing.join(10)
        assert not closing.is_alive()


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://c:4318", "http://c:4318/v1/traces"),
        ("http://c:4318/", "http://c:4318/v1/traces"),
        ("https://c/otlp", "https://c/otlp/v1/traces"),
        ("http://c/v1/traces", "http://c/v1/traces"),
    ],
)
def test_traces_url(endpoint: str, url: str) -> None:
    assert traces_url(endpoint) == url


def test_settings() -> None:
    assert load(TelemetrySettings, {}).otlp_endpoint is None
    for name, value in [("SAMPLE_RATIO", "2"), ("LOG_LEVEL", "loud"), ("OTLP_ENDPOINT", "collector:4318")]:
        with pytest.raises(SettingsError, match=name):
            load(TelemetrySettings, {f"TELEMETRY_{name}": value})


def test_logs_go_to_stderr_from_the_level_up(capsys: pytest.CaptureFixture[str]) -> None:
    setup("example", TelemetrySettings(log_level="warning"))
    logging.getLogger("a").info("quiet")
    logging.getLogger("a").warning("loud")
    error = capsys.readouterr().err
    assert '"message": "loud"' in error
    assert "quiet" not in error
