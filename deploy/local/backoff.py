"""How long to wait before a process that died is started again."""

FIRST = 0.1
LONGEST = 10.0
STEADY = 10.0  # a process that lived this long was all right: what ended it was something new


def delay(deaths: int) -> float:
    """Seconds to wait after that many deaths in a row (the first is 1)."""
    return float(min(FIRST * 2 ** (min(deaths, 20) - 1), LONGEST))


def deaths_in_a_row(before: int, lifetime: float) -> int:
    """Counting the one that just happened after `lifetime` seconds."""
    return 1 if lifetime >= STEADY else before + 1
