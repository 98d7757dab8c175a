"""A platform of its own for one scenario: fresh, on free ports, with our carriers instead of the sandbox."""

import json
import os
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local import leftovers
from deploy.local.layout import CHECKOUT, Layout
from deploy.local.processes import Command, end, spawn
from tests.chaos import carriers
from tests.chaos.carriers import Carrier, CarrierMode

START = 120.0
STOP = 60.0
CREDENTIALS = CHECKOUT / "deploy" / "demo" / "credentials.toml"

Routes = Callable[[Sequence[Carrier]], str]


@dataclass(frozen=True)
class Platform:
    """One that runs. Its ledgers lie beside its state, in `folder`."""

    folder: Path
    layout: Layout
    api_key: str
    carriers: Sequence[Carrier]

    @property
    def endpoints(self) -> dict[str, Any]:
        """What is where now: pids change when a process is started again. It is replaced as a whole, so never torn."""
        content: dict[str, Any] = json.loads(self.layout.endpoints.read_text(encoding="utf-8"))
        return content

    @property
    def gateways(self) -> list[str]:
        return list(self.endpoints["gateways"])

    def pid(self, name: str) -> int:
        return int(self.endpoints["processes"][name])

    def secret(self, name: str) -> str:
        """One of the platform's own, as its operator has them."""
        return str(json.loads(self.layout.secrets.read_text(encoding="utf-8"))[name])

    def database(self, role: str) -> str:
        """The address of the database for a service's role."""
        reader = str(self.endpoints["postgres"])
        return reader.replace(f"//reader:{self.secret('reader')}@", f"//{role}:{self.secret(role)}@")

    @property
    def client_ledger(self) -> Path:
        return self.folder / "client.jsonl"

    def keep_words_only(self) -> None:
        """Drop the data of Kafka and Postgres; ledgers and logs stay, to be read."""
        shutil.rmtree(self.layout.kafka, ignore_errors=True)
        shutil.rmtree(self.layout.postgres, ignore_errors=True)


@contextmanager
def running(
    modes: Sequence[CarrierMode], settings: Mapping[str, str], routes: Routes | None = None
) -> Iterator[Platform]:
    """Start the carriers and a platform that sends to them, with `settings` in its environment; end all, whatever
    happens. `routes` writes the dispatcher's file of routes where there is more than one carrier.

    Raises RuntimeError when one does not start, or when the end leaves a process.
    """
    folder = Path(tempfile.mkdtemp(prefix="carillon-chaos-"))
    layout = Layout(folder / "run")
    credentials = tomllib.loads(CREDENTIALS.read_text(encoding="utf-8"))
    with carriers.running(modes, folder) as started:
        platform = Platform(folder, layout, str(credentials["native"]["api_key"]), started)
        environ = {**os.environ, **settings, "RUN_DIR": str(layout.run), "GATEWAY_PORT": "0", "SANDBOX_PORT": "0"}
        environ |= _route(started, routes, folder)
        process = None
        try:
            output = folder / "platform.log"
            process = spawn(Command([sys.executable, "-m", "deploy.local", "run"], environ, CHECKOUT), output)
            deadline = time.monotonic() + START
            while not layout.endpoints.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the platform does not start:\n{output.read_text(encoding='utf-8')[-2000:]}")
                time.sleep(0.05)
            for carrier in started:
                carrier.check()
            yield platform
        finally:
            if process is not None:
                end(process, signal.SIGTERM, within=STOP)
            left = leftovers.alive(layout)
            leftovers.clear(layout, lambda text: print(f"  {text}", flush=True))
    if left:
        raise RuntimeError(f"the end of the platform left {[one.name() for one in left]}")


def _route(started: Sequence[Carrier], routes: Routes | None, folder: Path) -> dict[str, str]:
    """How the dispatcher is told of its carriers."""
    if routes is None:
        return {"DISPATCHER_SMS_CARRIER_URL": started[0].url, "DISPATCHER_SMS_CARRIER_KEY": started[0].key}
    file = folder / "routes.toml"
    file.write_text(routes(started), encoding="utf-8")
    file.chmod(0o600)
    return {"DISPATCHER_SMS_ROUTES": str(file), "DISPATCHER_SMS_CARRIER_URL": "", "DISPATCHER_SMS_CARRIER_KEY": ""}
