"""`up` and `down`: a platform whose supervisor runs in the background."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from deploy.local import health, leftovers, lock
from deploy.local.choices import Choices
from deploy.local.files import read_object
from deploy.local.layout import CHECKOUT, Layout
from deploy.local.progress import Report, Say
from deploy.local.running import supervise
from deploy.local.servers import in_words
from deploy.local.trouble import Trouble

STOP_WITHIN = 60.0
READY_WITHIN = 90.0
LOOK = 0.05


def up(layout: Layout, environ: Mapping[str, str], say: Say) -> dict[str, Any]:
    """Start a supervisor and wait until all is ready; returns what endpoints.json says. Raises Trouble if it fails."""
    if lock.holder(layout.lock) is not None:
        say(f"Carillon is already up under {layout.run}")
        return asyncio.run(_until_all_ready(layout))
    layout.logs.mkdir(parents=True, exist_ok=True)
    reading, writing = os.pipe()
    with layout.log("supervisor").open("ab") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "deploy.local", "supervise", str(writing)],
            cwd=CHECKOUT,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[writing],
            start_new_session=True,
        )
    os.close(writing)
    try:
        _listen(reading, say, log=layout.log("supervisor"))
    except BaseException as error:  # also Ctrl-C: what is half up is taken down again
        supervisor.terminate()
        supervisor.wait()
        if isinstance(error, Trouble) and lock.holder(layout.lock) is not None:  # another `up` was a moment faster
            return asyncio.run(_until_all_ready(layout))
        raise
    return read_object(layout.endpoints) or {}


def _listen(descriptor: int, say: Say, *, log: Path) -> None:
    """Hand on what the supervisor says until it is ready. Raises Trouble when it fails or dies."""
    with os.fdopen(descriptor, encoding="utf-8") as lines:
        for line in lines:
            told = json.loads(line)
            if "say" in told:
                say(told["say"])
            elif "failed" in told:
                raise Trouble(told["failed"])
            else:
                return
    raise Trouble(f"the supervisor ended before everything was up; its log is {log}")


async def _until_all_ready(layout: Layout) -> dict[str, Any]:
    """Wait for a platform that somebody else started or that is recovering."""
    deadline = time.monotonic() + READY_WITHIN
    while reason := await _not_ready_because(layout):
        if time.monotonic() > deadline:
            raise Trouble(f"Carillon is up but not ready: {reason}; its logs are in {layout.logs}")
        if lock.holder(layout.lock) is None:
            raise Trouble(f"Carillon was stopped while it was waited for; its logs are in {layout.logs}")
        await asyncio.sleep(LOOK)
    return read_object(layout.endpoints) or {}


async def _not_ready_because(layout: Layout) -> str | None:
    known = read_object(layout.endpoints)
    if known is None:
        return "it is still starting"
    for name, url in known["services"].items():
        reason = await health.not_ready_because(urlsplit(url).port or 0)
        if reason:
            return f"{name}: {reason}"
    return None


def supervise_in_background(layout: Layout, choices: Choices, environ: Mapping[str, str], descriptor: int) -> NoReturn:
    """What `up` starts: supervise, and tell it through the pipe how the start goes."""
    report = Report(descriptor)
    code = 0
    try:
        supervise(layout, choices, environ, say=report.say, ready=lambda _: report.ready())
    except Trouble as trouble:
        report.failed(str(trouble))
        code = 1
    except OSError as error:
        report.failed(in_words(error))
        code = 1
    # A download that was under way when the stop was asked for has a thread that an ordinary exit would wait for.
    os._exit(code)


def down(layout: Layout, say: Say) -> None:
    """Stop everything that was started under this `.run/` and nothing else. Raises Trouble when that fails."""
    supervisor = lock.holder(layout.lock)
    if supervisor is None:
        left = leftovers.alive(layout)
        leftovers.clear(layout, say)
        say("what was left of Carillon has been stopped" if left else f"no Carillon runs under {layout.run}")
        return
    os.kill(supervisor, signal.SIGTERM)
    os.kill(supervisor, signal.SIGCONT)
    deadline = time.monotonic() + STOP_WITHIN
    while lock.holder(layout.lock) == supervisor:
        if time.monotonic() > deadline:
            say(f"the supervisor (pid {supervisor}) did not stop within {STOP_WITHIN:g} s: killed")
            os.kill(supervisor, signal.SIGKILL)
            deadline += STOP_WITHIN
        time.sleep(LOOK)
    leftovers.clear(layout, say)
    say("Carillon is down")
