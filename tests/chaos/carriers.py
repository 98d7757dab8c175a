"""The carriers of one platform as processes of their own, and how they are told to behave."""

import os
import secrets
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

import aiohttp

from deploy.local import ports
from deploy.local.layout import CHECKOUT
from deploy.local.processes import Command, end, spawn
from tests.chaos.behaviour import Mode


@dataclass(frozen=True)
class CarrierMode:
    """How a carrier behaves from its start: whether it honours keys, how many seconds it takes to answer, whether its
    reports are tangled (a seed)."""

    honour_keys: bool = False
    delay: float = 0.05
    tangled: int | None = None


@dataclass(frozen=True)
class Carrier:
    """One that runs."""

    url: str
    key: str
    ledger: Path
    process: Popen[bytes] = field(repr=False)

    async def behave(self, session: aiohttp.ClientSession, mode: Mode) -> None:
        """Behave so from now on."""
        async with session.post(f"{self.url}/chaos/mode", json={"mode": mode}) as response:
            response.raise_for_status()

    async def state(self, session: aiohttp.ClientSession) -> dict[str, Any]:
        """How many reports wait to be taken, and how many were made of messages that never were."""
        async with session.get(f"{self.url}/chaos/state") as response:
            answer: dict[str, Any] = await response.json()
            return answer

    def check(self) -> None:
        """Raises RuntimeError when it has ended."""
        if self.process.poll() is not None:
            said = self.ledger.with_suffix(".log").read_text(encoding="utf-8")
            raise RuntimeError(f"a carrier does not run:\n{said}")


@contextmanager
def running(modes: Sequence[CarrierMode], folder: Path) -> Iterator[Sequence[Carrier]]:
    """Start a carrier for each mode, its ledger and log in `folder`; end them all."""
    taken: set[int] = set()
    started: list[Carrier] = []
    try:
        for number, mode in enumerate(modes):
            port = ports.any_free(taken)
            taken.add(port)
            started.append(_start(mode, port, folder / f"carrier-{number}.jsonl", folder / f"carrier-{number}.log"))
        yield started
    finally:
        for carrier in started:
            carrier.process.send_signal(signal.SIGCONT)
            end(carrier.process, signal.SIGTERM)


def _start(mode: CarrierMode, port: int, ledger: Path, log: Path) -> Carrier:
    key = secrets.token_hex(16)
    words = ["--honour-keys"] if mode.honour_keys else []
    words += ["--tangled", str(mode.tangled)] if mode.tangled is not None else []
    command = Command(
        [
            *(sys.executable, "-m", "tests.chaos.carrier", "--ledger", str(ledger)),
            *("--port", str(port), "--key", key, "--delay", str(mode.delay), *words),
        ],
        dict(os.environ),
        CHECKOUT,
    )
    ledger.touch()
    return Carrier(f"http://127.0.0.1:{port}", key, ledger, spawn(command, log))
