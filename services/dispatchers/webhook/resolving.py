"""Looking up names that strangers chose: whose name servers do not answer holds up nobody else's lookups."""

import asyncio
import socket
from contextlib import suppress
from threading import Thread
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

# A lookup may last longer than the call that wanted it.
MOST_LOOKUPS = 256


class ThreadPerLookup(AbstractResolver):
    """Asks the system in a thread of its own each time. The loop's own lookups share four threads, which as many dead
    name servers hold for as long as they like; and these threads do not keep the process from ending."""

    def __init__(self) -> None:
        self._under_way = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises OSError when there are none, or too much is looked up already."""
        if self._under_way >= MOST_LOOKUPS:
            raise OSError("too many names are being looked up")
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[Any]] = loop.create_future()

        def settle(answer: list[Any] | OSError) -> None:
            self._under_way -= 1
            if found.done():  # the call was given up
                return
            if isinstance(answer, OSError):
                found.set_exception(answer)
            else:
                found.set_result(answer)

        def look_up() -> None:
            answer: list[Any] | OSError
            try:
                answer = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
            except OSError as error:
                answer = error
            except UnicodeError:
                answer = OSError("the name cannot be looked up")
            with suppress(RuntimeError):  # the loop is closed: nobody wants to know
                loop.call_soon_threadsafe(settle, answer)

        self._under_way += 1
        Thread(target=look_up, name="lookup", daemon=True).start()
        return [
            ResolveResult(
                hostname=host, host=address[0], port=port, family=kind, proto=protocol, flags=socket.AI_NUMERICHOST
            )
            for kind, _, protocol, _, address in await found
        ]

    async def close(self) -> None:
        """Nothing to close: lookups under way end by themselves."""
