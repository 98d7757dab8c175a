"""The topics of the topic table, made by the bus library's own program."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from deploy.local.layout import CHECKOUT
from deploy.local.trouble import Trouble

# python -m libs.bus.creation in two steps: what takes a second to import is there when Kafka is.
PROGRAM = "import sys; from libs.bus.creation import main; sys.stdin.readline(); sys.exit(main())"


@asynccontextmanager
async def creation(bootstrap_servers: str) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """Start the program that creates what is missing; it does so, and tells their names, when it is called upon.

    That raises Trouble with the program's last line if it fails.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM),
        env={"PATH": os.environ.get("PATH", os.defpath), "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers},
        cwd=CHECKOUT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )

    async def create() -> str:
        printed, _ = await process.communicate(b"\n")
        text = printed.decode("utf-8", "replace").strip()
        if process.returncode:
            raise Trouble(f"the topics could not be created: {(text.splitlines() or ['no reason given'])[-1]}")
        return text

    try:
        yield create
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def create(bootstrap_servers: str) -> str:
    """Create what is missing in a Kafka that runs; returns the names. Raises Trouble."""
    async with creation(bootstrap_servers) as create_now:
        return await create_now()
