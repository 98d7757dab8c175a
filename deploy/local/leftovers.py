"""What an earlier supervisor may have left behind when it could not clean up, for example after a kill -9."""

from collections.abc import Mapping

import psutil

from deploy.local.files import read_object, write_json
from deploy.local.layout import Layout
from deploy.local.processes import identity, living_in
from deploy.local.progress import Say

SAME = 2.0  # seconds by which two readings of a process's creation may differ when the clock was set
GRACE = 10.0


def record(layout: Layout, pids: Mapping[str, int]) -> None:
    """Remember which processes are ours, with when they were created, so that a reused pid is told apart."""
    rows = {name: {"pid": pid, "created": identity(pid)} for name, pid in pids.items()}
    write_json(layout.processes, {name: row for name, row in rows.items() if row["created"] is not None})


def alive(layout: Layout) -> list[psutil.Process]:
    """The recorded processes that still run, and whatever a dead Postgres left in its data directory."""
    found = [process for row in (read_object(layout.processes) or {}).values() if (process := recorded(row))]
    return [*found, *(orphan for orphan in living_in(layout.postgres / "data") if orphan not in found)]


def recorded(row: object) -> psutil.Process | None:
    """The process that a row of the record means, None when it is gone or its number now belongs to another."""
    if not isinstance(row, dict):
        return None
    pid, created = row.get("pid"), row.get("created")
    if not isinstance(pid, int) or not isinstance(created, int | float):
        return None
    now = identity(pid)
    return psutil.Process(pid) if now is not None and abs(now - created) < SAME else None


def clear(layout: Layout, say: Say) -> None:
    """End what is left and forget what no longer holds. The data stays."""
    left = alive(layout)
    if left:
        say(f"ending what was left running: {len(left)} process{'es' if len(left) > 1 else ''}")
        end(left)
    layout.endpoints.unlink(missing_ok=True)
    layout.processes.unlink(missing_ok=True)


def end(processes: list[psutil.Process]) -> None:
    """SIGTERM, thaw, and SIGKILL for what has not ended after a while."""
    for process in processes:
        _quietly(process.terminate)
        _quietly(process.resume)
    _, stubborn = psutil.wait_procs(processes, GRACE)
    for process in stubborn:
        _quietly(process.kill)
    psutil.wait_procs(stubborn, GRACE)


def _quietly(act: object) -> None:
    try:
        act()  # type: ignore[operator]
    except psutil.NoSuchProcess:
        return
