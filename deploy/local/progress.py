"""What the person who waits is told."""

import json
import os
import time
from collections.abc import Callable

Say = Callable[[str], None]


def to_terminal(begun: float) -> Say:
    """Lines with the seconds since `begun` (time.monotonic) before them."""

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:5.1f} s  {text}", flush=True)

    return say


class Report:
    """From a supervisor in the background to the `up` that started it: one JSON object a line, through a pipe.

    Once the platform is ready nobody listens any more; what is written then is dropped.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def say(self, text: str) -> None:
        self._write({"say": text})

    def ready(self) -> None:
        self._write({"ready": True})
        self.close()

    def failed(self, reason: str) -> None:
        self._write({"failed": reason})
        self.close()

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, line: dict[str, object]) -> None:
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, json.dumps(line).encode() + b"\n")
        except BrokenPipeError:  # `up` was killed; the platform goes on
            self.close()
