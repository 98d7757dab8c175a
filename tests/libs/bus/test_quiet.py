import logging

from libs.bus.quiet import OncePerWhile


def line(text: str) -> logging.LogRecord:
    return logging.LogRecord("aiokafka.client", logging.ERROR, "", 0, text, (), None)


def test_the_same_line_passes_once_in_a_while() -> None:
    now = 0.0
    quiet = OncePerWhile(clock=lambda: now)
    assert quiet.filter(line("gone: %s"))
    assert not quiet.filter(line("gone: %s"))
    assert quiet.filter(line("back: %s"))
    now = 10.0
    assert quiet.filter(line("gone: %s"))
