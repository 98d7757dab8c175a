"""The services' logs on the terminal, each line with the name of its process."""

import asyncio
from collections.abc import Callable
from pathlib import Path

LOOK = 0.3  # seconds


class Follower:
    """Shows what is appended to the logs in a folder from now on."""

    def __init__(self, folder: Path, show: Callable[[str], None]) -> None:
        self._folder = folder
        self._show = show
        self._read: dict[Path, int] = {log: log.stat().st_size for log in folder.glob("*.log")}

    async def follow(self) -> None:
        while True:
            self.catch_up()
            await asyncio.sleep(LOOK)

    def catch_up(self) -> None:
        """Show every whole line that is new; what the supervisor says reaches the terminal by itself."""
        for log in sorted(set(self._folder.glob("*.log")) - {self._folder / "supervisor.log"}):
            with log.open("rb") as file:
                file.seek(self._read.get(log, 0))
                new = file.read()
            whole, newline, _ = new.rpartition(b"\n")
            self._read[log] = self._read.get(log, 0) + len(whole) + len(newline)
            for line in whole.decode("utf-8", "replace").splitlines():
                self._show(f"{log.stem:>14} | {line}")
