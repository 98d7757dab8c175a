"""The demo tenant and its people, loaded once and again when their files change."""

import asyncio
import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local import services
from deploy.local.files import read_object, write_json
from deploy.local.layout import CHECKOUT, Layout
from deploy.local.services import Platform
from deploy.local.trouble import Trouble

FOLDER = CHECKOUT / "deploy" / "demo"
CREDENTIALS = FOLDER / "credentials.toml"
TENANT = "demo"


@dataclass(frozen=True)
class Load:
    """One file and the program that takes it, run with the settings of `service`."""

    file: Path
    service: str
    arguments: tuple[str, ...]


LOADS = (
    Load(CREDENTIALS, "gateway", ("services.gateway.provision", str(CREDENTIALS))),
    Load(
        FOLDER / "people.csv",
        "audience",
        ("services.audience.load", "--tenant", TENANT, str(FOLDER / "people.csv")),
    ),
)


async def ensure(layout: Layout, platform: Platform, environ: Mapping[str, str]) -> int:
    """Load what is new or changed; returns how many files that were. Raises Trouble with the loader's last line."""
    known = read_object(layout.demo) or {}
    now = {load.file.name: _fingerprint(load.file) for load in LOADS if load.file.exists()}
    due = [load for load in LOADS if load.file.name in now and known.get(load.file.name) != now[load.file.name]]
    if due:
        await asyncio.gather(*(run(load.service, load.arguments, platform, environ) for load in due))
        write_json(layout.demo, now)
    return len(due)


async def run(service: str, arguments: Sequence[str], platform: Platform, environ: Mapping[str, str]) -> str:
    """Run one of our programs with the settings of a service; returns what it printed, raises Trouble if it fails."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *arguments),
        env=services.environment(platform.first(service), platform, environ),
        cwd=CHECKOUT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        printed, complaint = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        lines = [line for line in complaint.decode("utf-8", "replace").splitlines() if line.strip()]
        raise Trouble(f"{arguments[0]} failed: {lines[-1] if lines else 'it gave no reason'}")
    return printed.decode("utf-8", "replace")


def _fingerprint(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
