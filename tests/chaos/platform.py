"""A platform of its own for one scenario: fresh, on free ports, with our carrier instead of the sandbox."""

import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local import leftovers, ports
from deploy.local.layout import CHECKOUT, Layout
from deploy.local.processes import Command, end, spawn

START = 120.0
STOP = 60.0
CREDENTIALS = CHECKOUT / "deploy" / "demo" / "credentials.toml"


@dataclass(frozen=True)
class CarrierMode:
    """How the carrier behaves: whether it honours keys, and how many seconds it takes to answer."""

    honour_keys: bool = False
    delay: float = 0.05


@dataclass(frozen=True)
class Platform:
    """One that runs. Its ledgers lie beside its state, in `folder`."""

    folder: Path
    layout: Layout
    api_key: str

    @property
    def endpoints(self) -> dict[str, Any]:
        """What is where now: pids change when a process is started again. It is replaced as a whole, so never torn."""
        content: dict[str, Any] = json.loads(self.layout.endpoints.read_text(encoding="utf-8"))
        return content

    def pid(self, name: str) -> int:
        return int(self.endpoints["processes"][name])

    @property
    def client_ledger(self) -> Path:
        return self.folder / "client.jsonl"

    @property
    def carrier_ledger(self) -> Path:
        return self.folder / "carrier.jsonl"

    def keep_words_only(self) -> None:
        """Drop the data of Kafka and Postgres; ledgers and logs stay, to be read."""
        shutil.rmtree(self.layout.kafka, ignore_errors=True)
        shutil.rmtree(self.layout.postgres, ignore_errors=True)


@contextmanager
def running(mode: CarrierMode, settings: Mapping[str, str]) -> Iterator[Platform]:
    """Start a carrier and a platform that sends to it, with `settings` in its environment; end both, whatever happens.

    Raises RuntimeError when one does not start, or when the end leaves a process.
    """
    folder = Path(tempfile.mkdtemp(prefix="carillon-chaos-"))
    layout = Layout(folder / "run")
    credentials = tomllib.loads(CREDENTIALS.read_text(encoding="utf-8"))
    platform = Platform(folder, layout, str(credentials["native"]["api_key"]))
    port, key = ports.any_free(), secrets.token_hex(16)
    words = ["--honour-keys"] if mode.honour_keys else []
    carrier = spawn(
        Command(
            [
                *(sys.executable, "-m", "tests.chaos.carrier", "--ledger", str(platform.carrier_ledger)),
                *("--port", str(port), "--key", key, "--delay", str(mode.delay), *words),
            ],
            dict(os.environ),
            CHECKOUT,
        ),
        folder / "carrier.log",
    )
    environ = {
        **os.environ,
        **settings,
        "RUN_DIR": str(layout.run),
        "GATEWAY_PORT": "0",
        "SANDBOX_PORT": "0",
        "DISPATCHER_SMS_CARRIER_URL": f"http://127.0.0.1:{port}",
        "DISPATCHER_SMS_CARRIER_KEY": key,
    }
    process = None
    try:
        output = folder / "platform.log"
        process = spawn(Command([sys.executable, "-m", "deploy.local", "run"], environ, CHECKOUT), output)
        deadline = time.monotonic() + START
        while not layout.endpoints.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the platform does not start:\n{output.read_text(encoding='utf-8')[-2000:]}")
            time.sleep(0.05)
        if carrier.poll() is not None:
            raise RuntimeError(f"the carrier does not start:\n{(folder / 'carrier.log').read_text(encoding='utf-8')}")
        yield platform
    finally:
        if process is not None:
            end(process, signal.SIGTERM, within=STOP)
        end(carrier, signal.SIGTERM)
        left = leftovers.alive(layout)
        leftovers.clear(layout, lambda text: print(f"  {text}", flush=True))
    if left:
        raise RuntimeError(f"the end of the platform left {[one.name() for one in left]}")
