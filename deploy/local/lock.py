"""Which supervisor owns a `.run/`: the one that holds its lock, for exactly as long as it lives."""

import fcntl
import os
from pathlib import Path

from deploy.local.processes import identity


class Lock:
    """Held by this process until it ends, however it ends. Children do not inherit it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def take(path: Path) -> Lock | None:
    """The lock, None when another process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return Lock(descriptor)


def holder(path: Path) -> int | None:
    """The pid of the supervisor that holds the lock now; None when nobody does."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 32, 0).strip()
        pid = int(text) if text.isdigit() else None
        return pid if pid is not None and identity(pid) is not None else None
    finally:
        os.close(descriptor)
    return None
