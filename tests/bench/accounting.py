"""What every process of the platform costs: CPU time and memory, read from the system, Kafka and Postgres included.

Nothing is taken from a process's own word, so that cost cannot be moved to where nobody looks.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Usage:
    """CPU seconds since the process began, its reaped and living children included, and resident MiB."""

    cpu_seconds: float
    rss_mib: float


def usage(pid: int) -> Usage:
    """The usage of one process and its descendants. A Postgres backend that has ended counts in its postmaster's
    children's time. Raises psutil.NoSuchProcess."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    seconds = 0.0
    resident = 0
    for member in family:
        try:
            times = member.cpu_times()
            seconds += times.user + times.system + times.children_user + times.children_system
            memory = member.memory_full_info()
            resident += memory.pss
        except psutil.NoSuchProcess:
            continue
    return Usage(seconds, resident / 2**20)


def measure(processes: Mapping[str, int]) -> dict[str, Usage]:
    """The usage of each named process."""
    return {name: usage(pid) for name, pid in processes.items()}


def print_cost(before: Mapping[str, Usage], after: Mapping[str, Usage], *, messages: int) -> None:
    """A table of CPU microseconds per message and of memory, a row a process."""
    print(f"{'process':<18}{'us/message':>12}{'MiB before':>12}{'MiB after':>12}")
    total = 0.0
    for name in before:
        cost = (after[name].cpu_seconds - before[name].cpu_seconds) / messages * 1e6
        total += cost
        print(f"{name:<18}{cost:>12.1f}{before[name].rss_mib:>12.0f}{after[name].rss_mib:>12.0f}")
    print(f"{'all':<18}{total:>12.1f}")
