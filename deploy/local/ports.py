"""Loopback ports: which are free, and who has taken one that is not."""

import contextlib
import random
import socket
from collections.abc import Collection, Iterator

import psutil

from deploy.local.trouble import Trouble

# Below the range from which the kernel picks ports for outgoing connections (32768 on Linux): a port chosen here stays
# free while its process is being restarted.
LOWEST, HIGHEST = 20_000, 32_000


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def any_free(taken: Collection[int] = ()) -> int:
    """A free port that is not among `taken`. Raises Trouble when there seems to be none."""
    for port in _candidates():
        if port not in taken and is_free(port):
            return port
    raise Trouble(f"no free port found between {LOWEST} and {HIGHEST}")


def _candidates() -> Iterator[int]:
    chance = random.SystemRandom()  # two platforms that start together must not try the same ones
    for _ in range(1000):
        yield chance.randrange(LOWEST, HIGHEST)


def claim(wanted: int, *, name: str, variable: str, taken: Collection[int] = ()) -> int:
    """`wanted` itself when it is free, any free port for 0. Raises Trouble that says who has it."""
    if wanted == 0:
        return any_free(taken)
    if wanted in taken or not is_free(wanted):
        raise Trouble(
            f"port {wanted} for {name} is taken{_holder(wanted)}; "
            f"free it, or choose another with {variable} (0 = any free one)"
        )
    return wanted


def _holder(port: int) -> str:
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if listens and connection.pid:
                return f" by process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return ""
