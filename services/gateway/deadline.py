"""The end of a call's time, shared by everything it waits for."""

import asyncio

# A caller is promised an answer within 3 s of its last byte, whatever is away.
CALL_SECONDS = 2.9


class Deadline:
    """A point on the loop's clock."""

    def __init__(self, seconds: float) -> None:
        self._at = asyncio.get_running_loop().time() + seconds

    def left(self, most: float = CALL_SECONDS) -> float:
        """Seconds left, at most `most` and never negative."""
        return max(0.0, min(most, self._at - asyncio.get_running_loop().time()))
