"""One Postgres server for one machine."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deploy.local.postgres_programs import OLDEST, release
from deploy.local.processes import Command, run
from deploy.local.trouble import Trouble

SUPERUSER = "postgres"
NOBODY = 65534

# For a laptop with two cores: little memory, many small transactions, and a commit that is really on the disk.
SETTINGS: Mapping[str, str] = {
    "shared_buffers": "128MB",
    "max_connections": "200",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %u@%d ",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
}


@dataclass(frozen=True)
class Server:
    """Where a server lives and on which loopback port it listens. `programs` is the folder of its binaries."""

    data: Path
    programs: Path
    port: int
    password: str

    def dsn(self, database: str, role: str = SUPERUSER, password: str | None = None) -> str:
        return f"postgresql://{role}:{password or self.password}@127.0.0.1:{self.port}/{database}"


def exists(data: Path) -> int | None:
    """The major version that made the finished cluster in `data`; None when there is none."""
    try:
        return int((data / "PG_VERSION").read_text(encoding="utf-8")) if _finished(data).exists() else None
    except (OSError, ValueError):
        return None


def _finished(data: Path) -> Path:
    return data.parent / "initialised"


@cache
def as_nobody() -> tuple[tuple[str, ...], int | None]:
    """How root starts Postgres, which refuses uid 0: words before the command, or a user to become.

    A user namespace needs no other user on the machine and no change of owner; where the kernel forbids it, the
    process becomes `nobody`.
    """
    if os.geteuid() != 0:
        return (), None
    words = ("unshare", "-U", f"--map-user={NOBODY}", f"--map-group={NOBODY}")
    try:
        subprocess.run([*words, "true"], capture_output=True, check=True)
    except (OSError, subprocess.SubprocessError):
        return (), pwd.getpwnam("nobody").pw_uid
    return words, None


def locale_options(major: int) -> list[str]:
    """With the plain C locale `lower('ПРИВЕТ')` does nothing and Cyrillic has no trigrams."""
    if major >= 17:
        return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8", "-E", "UTF8"]
    return ["--locale=C.UTF-8", "-E", "UTF8"]


def prepare(server: Server, *, durable: bool = True) -> None:
    """Make the cluster if it is new or was left half made. Raises Trouble when initdb refuses."""
    if _finished(server.data).exists() and server.data.exists():
        return
    _finished(server.data).unlink(missing_ok=True)
    shutil.rmtree(server.data, ignore_errors=True)
    server.data.mkdir(parents=True, mode=0o700)
    words, user = as_nobody()
    secret = server.data.parent / "initial-password"
    secret.touch(mode=0o600)
    secret.write_text(server.password, encoding="utf-8")
    if user is not None:
        os.chown(server.data, user, user)
        os.chown(secret, user, user)
    answer = run(
        [
            *(*words, str(server.programs / "initdb"), "-D", str(server.data), "-U", SUPERUSER),
            *("--auth=scram-sha-256", f"--pwfile={secret}", *locale_options(release(server.programs) or OLDEST)),
            *(() if durable else ("--no-sync",)),
        ],
        environ=_environ(),
        user=user,
    )
    secret.unlink()
    if answer.returncode:
        raise Trouble(f"Postgres cannot set up {server.data}: {_complaint(answer.stderr)}")
    _finished(server.data).touch()


def command(server: Server, **more: str) -> Command:
    """SIGINT is Postgres' quick and orderly stop."""
    words, user = as_nobody()
    settings = {**SETTINGS, **more, "port": str(server.port)}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    argv = [*words, str(server.programs / "postgres"), "-D", str(server.data), *options]
    return Command(argv, environ=_environ(), directory=server.data, stop_signal=signal.SIGINT, user=user)


def _environ() -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "TMPDIR": tempfile.gettempdir(),
    }


def _complaint(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if "error" in line.lower() or "could not" in line.lower()]
    return lines[-1] if lines else (text.strip().splitlines() or ["it gave no reason"])[-1]
