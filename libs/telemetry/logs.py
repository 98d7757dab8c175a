"""Logs: one JSON object a line on stderr, without personal data and secrets."""

import json
import logging
import sys
from datetime import UTC, datetime

from libs.telemetry import tracing
from libs.telemetry.masking import mask_field, mask_text

# What every record has anyway; everything else on it came from `extra`.
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

# Chatty at their usual level, or a line for each thing we report ourselves.
_QUIET = {
    "aiokafka": logging.WARNING,
    "faststream": logging.WARNING,
    "aiohttp.access": logging.CRITICAL,
    "opentelemetry.exporter": logging.CRITICAL,
    "opentelemetry.sdk._shared_internal": logging.CRITICAL,
}


class JsonLines(logging.Formatter):
    """Fields: time, level, service, logger, message, trace_id if there is one, what `extra` gave, error and stack."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever was logged."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": mask_text(record.getMessage()),
        }
        if (trace_id := tracing.trace_id_of(tracing.current_traceparent())) is not None:
            line["trace_id"] = trace_id
        for name, value in record.__dict__.items():
            if name not in _STANDARD:
                line[name if name not in line else f"{name}_"] = mask_field(name, value)
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["stack"] = mask_text(self.formatException(record.exc_info))
        # Escaped to ASCII: one line stays one line in every terminal, and lone surrogates cannot break it.
        return json.dumps(line, default=str)


def setup(service: str, level: str) -> None:
    """Send everything logged in this process to stderr, from `level` up; warnings of Python included."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(quiet)
    logging.captureWarnings(True)
