"""What is done to a platform from outside: signals to its processes by their recorded pids."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from random import Random
from urllib.parse import urlsplit

import psutil

from deploy.local import health, kafka
from tests.chaos.platform import Platform

SERVICES = (
    *("gateway", "ingest", "audience", "scheduler", "tracker"),
    *("dispatcher-sms", "dispatcher-viber", "dispatcher-webhook"),
)
LOOK = 0.05
BACK_WITHIN = 60.0


class Faults:
    """`random` decides what a scenario leaves to chance. Tells `say` what it does; `hits` counts signals by process,
    `down` is when nothing could be accepted."""

    def __init__(self, platform: Platform, random: Random, say: Callable[[str], None]) -> None:
        self._platform = platform
        self._say = say
        self._frozen: set[int] = set()
        self._began = time.time()
        self.random = random
        self.hits: dict[str, int] = {}
        self.down: tuple[float, float] | None = None

    @property
    def services(self) -> list[str]:
        """The first process of each service that there is."""
        return [name for name in SERVICES if name in self._platform.endpoints["processes"]]

    def send(self, name: str, number: signal.Signals, *, tree: bool = False) -> int:
        """Send a signal to a process, and with `tree` to all it started; returns its pid."""
        pid = self._platform.pid(name)
        processes = [psutil.Process(pid)]
        if tree:
            processes += processes[0].children(recursive=True)
        for process in processes:
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue
        self.hits[name] = self.hits.get(name, 0) + 1
        self.say(f"{number.name} {name} (pid {pid}{f' and {len(processes) - 1} it started' if tree else ''})")
        return pid

    def say(self, text: str) -> None:
        self._say(f"{time.time() - self._began:6.1f} s  {text}")

    async def kill_in_turn(self, names: Sequence[str], *, rounds: int, pause: tuple[float, float]) -> None:
        """kill -9 each in a shuffled order, `rounds` times, with a pause between two; returns when all are back."""
        for _ in range(rounds):
            for name in self.random.sample(names, len(names)):
                pid = self.send(name, signal.SIGKILL)
                await asyncio.sleep(self.random.uniform(*pause))
                await self.another(name, pid)
        await self.ready()

    async def restart_in_turn(self, names: Sequence[str]) -> None:
        """An orderly stop of each, the next one when it is back."""
        for name in names:
            # To Postgres SIGTERM means: when the last client has gone.
            pid = self.send(name, signal.SIGINT if name == "postgres" else signal.SIGTERM)
            await self.another(name, pid)
            await self.ready()

    async def hold_down(self, name: str, seconds: float) -> None:
        """kill -9 and keep down; `down` is from a second after the kill to the release."""
        hold = self._platform.layout.hold / name
        hold.touch()
        try:
            self.send(name, signal.SIGKILL)
            begun = time.time() + 1.0
            await asyncio.sleep(seconds)
            self.down = (begun, time.time())
        finally:
            hold.unlink()
        self.say(f"released {name}")

    async def freeze(self, name: str, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after a while; `down` is what lies between."""
        self.stop(name)
        begun = time.time()
        await asyncio.sleep(seconds)
        self.down = (begun, time.time())
        self.thaw()
        self.say(f"thawed {name}")

    def stop(self, name: str) -> None:
        """SIGSTOP until `thaw`."""
        self._frozen.add(self.send(name, signal.SIGSTOP))

    def stop_carrier(self, number: int) -> None:
        """SIGSTOP to a carrier until `thaw`: its port still takes connections, and nobody answers."""
        pid = self._platform.carriers[number].process.pid
        os.kill(pid, signal.SIGSTOP)
        self._frozen.add(pid)
        self.say(f"SIGSTOP carrier {number}")

    def thaw(self) -> None:
        """Let everything run that was frozen here."""
        while self._frozen:
            try:
                os.kill(self._frozen.pop(), signal.SIGCONT)
            except ProcessLookupError:
                continue

    async def another(self, name: str, pid: int) -> None:
        """Wait until a process has been started again. Raises TimeoutError."""
        async with asyncio.timeout(BACK_WITHIN):
            while self._platform.pid(name) == pid:
                await asyncio.sleep(LOOK)

    async def ready(self, within: float = BACK_WITHIN) -> None:
        """Wait until every service says that it is ready. Raises TimeoutError that names who is not and why."""
        deadline = time.monotonic() + within
        while reasons := await self.not_ready():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ready after {within:g} s: {reasons}")
            await asyncio.sleep(LOOK * 2)

    async def not_ready(self) -> dict[str, str]:
        """Who is not ready and why, in its own words."""
        endpoints = self._platform.endpoints
        urls = endpoints["services"]
        reasons = await asyncio.gather(*(health.not_ready_because(urlsplit(url).port or 0) for url in urls.values()))
        found = {name: reason for name, reason in zip(urls, reasons, strict=True) if reason}
        if not found and not await asyncio.to_thread(kafka.answers, int(endpoints["kafka"].rpartition(":")[2])):
            return {"kafka": "it names no broker yet"}
        return found
