"""One supervised process: started, started again whenever it dies, ended in order."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from deploy.local import backoff
from deploy.local.processes import Command, spawn
from deploy.local.progress import Say
from deploy.local.trouble import Trouble

LOOK = 0.1  # seconds between two looks at a hold file
WRONG_SETTINGS = 2  # the exit code of a service that refuses its settings: trying again cannot help


class Watched:
    """Keeps one process alive. A frozen one is left alone: only an end counts, not silence."""

    def __init__(
        self,
        name: str,
        prepare: Callable[[], Command],
        *,
        log: Path,
        hold: Path,
        say: Say,
        started: Callable[[], None],
    ) -> None:
        """`prepare` runs in a thread before each start and tells the command; `started` is called after each."""
        self.name = name
        self.log = log
        self.deaths = 0
        self.last_exit: int | None = None
        self.trouble: str | None = None  # why it could not even be started
        self._prepare = prepare
        self._hold = hold
        self._say = say
        self._started = started
        self._process: subprocess.Popen[bytes] | None = None
        self._command: Command | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """Of the process that runs, or of the last one that ran."""
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def keep(self) -> None:
        """Start the process, and again whenever it ends, until `stop`."""
        in_a_row = 0
        while not self._stopping:
            begun = time.monotonic()
            what = await self._live_once()
            if self._stopping:
                return
            self.deaths += 1
            in_a_row = backoff.deaths_in_a_row(in_a_row, time.monotonic() - begun)
            pause = backoff.delay(in_a_row)
            self._say(f"{what}; starting it again in {pause:g} s")
            await asyncio.sleep(pause)
            await self._while_held()

    async def _live_once(self) -> str:
        """From a start to the end; returns what happened in words."""
        try:
            command = self._command = await asyncio.to_thread(self._prepare)
            if self._stopping:
                return ""
            self._process = spawn(command, self.log)  # here and not in a thread, which would count as its parent
        except (Trouble, OSError) as error:
            self.trouble = str(error)
            return f"{self.name} cannot be started: {self.trouble}"
        self.trouble = None
        self._started()
        self.last_exit = await exited(self._process)
        return f"{self.name} (pid {self.pid}) {how(self.last_exit)}"

    async def _while_held(self) -> None:
        if not self._hold.exists():
            return
        self._say(f"{self.name} stays down while {self._hold} exists")
        while self._hold.exists() and not self._stopping:  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(LOOK)

    async def stop(self, within: float) -> None:
        """Ask it to end, thaw it if it is frozen, kill it when `within` seconds were not enough."""
        self._stopping = True
        process, command = self._process, self._command
        if process is None or command is None or process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(command.stop_signal)
            process.send_signal(signal.SIGCONT)
        try:
            async with asyncio.timeout(within):
                await exited(process)
        except TimeoutError:
            self._say(f"{self.name} (pid {process.pid}) did not end within {within:g} s: killed")
            process.kill()
            await exited(process)

    def last_words(self) -> str:
        """The last line of its log that says something."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 4096))
                lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines()]
        except OSError:
            return ""
        return next((line[:300] for line in reversed(lines) if line), "")


def how(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


async def exited(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a child without a thread and, where the kernel can tell, without looking again and again."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        while process.poll() is None:  # noqa: ASYNC110 - nothing else tells here
            await asyncio.sleep(0.05)
        return process.wait()
    try:
        loop.add_reader(descriptor, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return process.wait()
