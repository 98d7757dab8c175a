import json
import logging
import sys
from typing import Any

import pytest

from libs.telemetry import tracing
from libs.telemetry.logs import JsonLines


def _line(message: str, *arguments: object, exc_info: Any = None, **extra: object) -> dict[str, Any]:
    logger = logging.getLogger("services.example")
    record = logger.makeRecord(logger.name, logging.WARNING, __file__, 1, message, arguments, exc_info, extra=extra)
    text = JsonLines("example").format(record)
    assert "\n" not in text
    line: dict[str, Any] = json.loads(text)
    return line


def test_one_object_with_the_fields_given() -> None:
    line = _line("sent %s to %s", 3, "+48600100200", chunk="c1", token="abc", level="x")
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "service": "example",
        "logger": "services.example",
        "message": "sent 3 to <phone>",
        "chunk": "c1",
        "token": "***",
        "level_": "x",
    }


def test_a_stack_is_kept_and_masked() -> None:
    try:
        raise KeyError("victim@example.com")
    except KeyError:
        line = _line("failed", exc_info=sys.exc_info())
    assert line["error"] == "KeyError"
    assert "test_a_stack_is_kept_and_masked" in line["stack"]
    assert "victim@example.com" not in json.dumps(line)


def test_the_trace_is_named() -> None:
    with tracing.span("x"):
        expected = tracing.trace_id_of(tracing.current_traceparent())
        assert _line("x")["trace_id"] == expected
    assert "trace_id" not in _line("x")


@pytest.mark.parametrize("value", ["\ud800", b"\xff", object(), {1: {2, 3}}, "a\nb\x00", float("nan")])
def test_whatever_is_logged_is_a_line(value: object) -> None:
    _line("odd", value=value)
