"""Starting and ending child processes so that none is ever left behind."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Command:
    """How one process is started. `stop_signal` asks it to end in an orderly way."""

    argv: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    user: int | None = None


def spawn(command: Command, log: Path) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own (Ctrl-C is not for it), its output appended to `log`.

    On Linux the kernel sends it the stop signal when the thread that started it ends, however that comes about: call
    this from the main thread. Raises OSError when the program cannot be executed.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            command.argv,
            env=dict(command.environ),
            cwd=command.directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_in_child(os.getpid(), command),  # noqa: PLW1509 - one system call, nothing that takes a lock
            **as_user(command.user),
        )


def run(
    argv: Sequence[str], *, environ: Mapping[str, str], user: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and keep what it says. It ends with us if we end first."""
    return subprocess.run(
        argv,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        preexec_fn=_in_child(os.getpid(), Command(argv)),
        **as_user(user),
    )


def as_user(user: int | None) -> dict[str, Any]:
    """What `subprocess` must be told to become another user, with none of our groups."""
    return {} if user is None else {"user": user, "group": user, "extra_groups": []}


def _in_child(parent: int, command: Command) -> Callable[[], None]:
    def prepare() -> None:
        if _LIBC is not None:
            _LIBC.prctl(PR_SET_PDEATHSIG, int(command.stop_signal))
            if os.getppid() != parent:  # it ended before the kernel was asked to tell us
                os._exit(1)

    return prepare


def end_with_parent(parent_signal: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send this very process a signal when the one that started it ends (Linux only)."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, int(parent_signal))


def end(process: subprocess.Popen[bytes], stop_signal: signal.Signals, *, within: float = 10.0) -> None:
    """Ask `process` to stop, thaw it if it is frozen, and kill it when it has not ended after `within` seconds."""
    if process.poll() is None:
        process.send_signal(stop_signal)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def identity(pid: int) -> float | None:
    """When the process with this number was created (seconds since 1970), None when there is none: tells reuse."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None


def living_in(directory: Path) -> list[psutil.Process]:
    """Every process whose working directory is `directory`: how the orphans of a killed Postgres are found."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == directory:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found
