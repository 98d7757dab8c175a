"""The whole platform as processes of its own, on free ports, gone when the test run ends."""

import os
import sys
import time
import tomllib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import psutil
import pytest

from deploy.local import demo, leftovers
from deploy.local.files import read_object
from deploy.local.layout import CHECKOUT, Layout
from deploy.local.processes import Command, end, spawn
from tests.e2e.caller import Caller

START = 120.0


@dataclass(frozen=True)
class RunningPlatform:
    """Where a running platform is."""

    layout: Layout
    credentials: Mapping[str, Any]

    @property
    def endpoints(self) -> dict[str, Any]:
        """What endpoints.json says now: pids change when a process is started again."""
        content = read_object(self.layout.endpoints)
        assert content is not None
        return content

    @property
    def gateway(self) -> str:
        return str(self.endpoints["gateway"])

    @property
    def sandbox(self) -> str:
        return str(self.endpoints["sandbox"])


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    """One platform for all tests of this process, with the demo data; checks that its end leaves no process."""
    layout = Layout(tmp_path_factory.mktemp("platform") / "run")
    own = {"RUN_DIR": str(layout.run), "GATEWAY_PORT": "0", "SANDBOX_PORT": "0"}
    command = Command([sys.executable, "-m", "deploy.local", "run"], {**os.environ, **own}, CHECKOUT)
    output = tmp_path_factory.mktemp("output") / "platform.log"
    process = spawn(command, output)
    try:
        deadline = time.monotonic() + START
        while not layout.endpoints.exists():
            assert process.poll() is None and time.monotonic() < deadline, output.read_text()
            time.sleep(0.05)
        yield RunningPlatform(layout, tomllib.loads(demo.CREDENTIALS.read_text(encoding="utf-8")))
        started = leftovers.alive(layout)
    finally:
        end(process, command.stop_signal, within=60)
    assert len(started) >= len(leftovers.alive(layout)) == 0
    assert not [one for one in started if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
async def caller(platform: RunningPlatform) -> AsyncIterator[Caller]:
    """Who calls the native API as the demo tenant."""
    async with aiohttp.ClientSession() as session:
        yield Caller(session, platform)
