"""The demo tenant and its people, loaded once and again when their files change."""

import asyncio
import csv
import hashlib
import io
import sys
from collections.abc import Callable, Mapping, Sequence
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
    """One file and the program that takes it, run with the settings of `service`. `given` makes of the file's text what
    the program reads from its standard input."""

    file: Path
    service: str
    arguments: tuple[str, ...]
    given: Callable[[str], str] = lambda text: ""


def magic_people(text: str) -> str:
    """The recipients of magic.csv as contacts, in the columns that services.audience.load takes."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(("client_id", "fullname", "phone"))
    for row in csv.DictReader(io.StringIO(text)):
        writer.writerow((row["client_id"], f"Magic {row['behaviour']}", row["address"]))
    return written.getvalue()


LOADS = (
    Load(CREDENTIALS, "gateway", ("services.gateway.provision", str(CREDENTIALS))),
    Load(
        FOLDER / "people.csv",
        "audience",
        ("services.audience.load", "--tenant", TENANT, str(FOLDER / "people.csv")),
    ),
    Load(FOLDER / "magic.csv", "audience", ("services.audience.load", "--tenant", TENANT, "-"), magic_people),
)


async def ensure(layout: Layout, platform: Platform, environ: Mapping[str, str]) -> int:
    """Load what is new or changed; returns how many files that were. Raises Trouble with the loader's last line."""
    known = read_object(layout.demo) or {}
    now = {load.file.name: _fingerprint(load.file) for load in LOADS if load.file.exists()}
    due = [load for load in LOADS if load.file.name in now and known.get(load.file.name) != now[load.file.name]]
    if due:
        await asyncio.gather(*(_load(load, platform, environ) for load in due))
        write_json(layout.demo, now)
    return len(due)


async def _load(load: Load, platform: Platform, environ: Mapping[str, str]) -> None:
    given = load.given(load.file.read_text(encoding="utf-8"))
    await run(load.service, load.arguments, platform, environ, given=given)


async def run(
    service: str, arguments: Sequence[str], platform: Platform, environ: Mapping[str, str], *, given: str = ""
) -> str:
    """Run one of our programs with the settings of a service and `given` as its input; returns what it printed, raises
    Trouble if it fails."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *arguments),
        env=services.environment(platform.first(service), platform, environ),
        cwd=CHECKOUT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        printed, complaint = await process.communicate(given.encode())
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
