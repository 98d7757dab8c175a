"""The life of a supervisor: take the lock, start, run until a signal, stop."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Mapping
from typing import Any

from deploy.local import lock
from deploy.local.choices import Choices
from deploy.local.layout import Layout
from deploy.local.progress import Say
from deploy.local.supervisor import Supervisor
from deploy.local.trouble import Trouble

LOG = logging.getLogger("supervisor")


def supervise(
    layout: Layout,
    choices: Choices,
    environ: Mapping[str, str],
    *,
    say: Say,
    ready: Callable[[dict[str, Any]], None],
) -> None:
    """Run the platform until SIGTERM, SIGINT or SIGHUP, then stop it. Raises Trouble when it cannot be started.

    `say` is told everything that happens, `ready` what endpoints.json says once all is up.
    """
    layout.run.mkdir(parents=True, exist_ok=True)
    layout.logs.mkdir(exist_ok=True)
    held = lock.take(layout.lock)
    if held is None:
        raise Trouble(f"a Carillon already runs under {layout.run}: make down stops it")
    try:
        with _logging(layout):
            asyncio.run(_live(layout, choices, environ, say, ready))
    finally:
        held.release()


async def _live(
    layout: Layout,
    choices: Choices,
    environ: Mapping[str, str],
    tell: Say,
    ready: Callable[[dict[str, Any]], None],
) -> None:
    def say(text: str) -> None:
        LOG.info(text)
        tell(text)

    supervisor = Supervisor(layout, choices, environ, say)
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_stop.set)
    starting = asyncio.create_task(supervisor.start())
    stopping = asyncio.create_task(asked_to_stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            ready(starting.result())
            await stopping
        say("stopping")
    except Trouble as trouble:
        LOG.error("%s", trouble)
        raise
    finally:
        starting.cancel()
        stopping.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)
        await supervisor.stop()
        LOG.info("stopped")


@contextlib.contextmanager
def _logging(layout: Layout) -> Any:
    handler = logging.FileHandler(layout.log("supervisor"), encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    LOG.setLevel(logging.INFO)
    LOG.addHandler(handler)
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        handler.close()
