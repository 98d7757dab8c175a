"""A process is started again when it dies, stays down while it is held, is left alone while it is frozen."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from deploy.local.processes import Command
from deploy.local.trouble import Trouble
from deploy.local.watched import Watched, how

SLEEP = "import time; time.sleep(300)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(300)"
)


class Stand:
    """A watched stand-in, and what was said about it."""

    def __init__(self, folder: Path, program: str) -> None:
        self.said: list[str] = []
        self.pids: list[int] = []
        self.hold = folder / "hold"
        self.watched = Watched(
            "stand-in",
            lambda: Command([sys.executable, "-c", program]),
            log=folder / "log",
            hold=self.hold,
            say=self.said.append,
            started=lambda: self.pids.append(self.watched.pid or 0),
        )


@asynccontextmanager
async def kept(stand: Stand) -> AsyncIterator[Stand]:
    task = asyncio.create_task(stand.watched.keep())
    try:
        await until(lambda: stand.pids)
        yield stand
    finally:
        await stand.watched.stop(5)
        await task
        assert not [pid for pid in stand.pids if psutil.pid_exists(pid)]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_killed_and_started_again(tmp_path: Path) -> None:
    async with kept(Stand(tmp_path, SLEEP)) as stand:
        psutil.Process(stand.pids[0]).kill()
        await until(lambda: len(stand.pids) == 2)
        assert stand.watched.alive
        assert stand.said == [f"stand-in (pid {stand.pids[0]}) was ended by SIGKILL; starting it again in 0.1 s"]


async def test_one_that_keeps_dying_is_given_more_and_more_time(tmp_path: Path) -> None:
    async with kept(Stand(tmp_path, "print('why it fails'); raise SystemExit(3)")) as stand:
        await until(lambda: len(stand.pids) == 3)
        await until(lambda: len(stand.said) == 3)
    assert [line.rpartition("; ")[2] for line in stand.said[:3]] == [
        "starting it again in 0.1 s",
        "starting it again in 0.2 s",
        "starting it again in 0.4 s",
    ]
    assert "ended with exit code 3" in stand.said[0]
    assert stand.watched.last_words() == "why it fails"


async def test_held_down_and_released(tmp_path: Path) -> None:
    async with kept(Stand(tmp_path, SLEEP)) as stand:
        stand.hold.touch()
        assert stand.watched.alive, "a hold does not end what lives"
        psutil.Process(stand.pids[0]).kill()
        await until(lambda: any("stays down" in line for line in stand.said))
        assert not stand.watched.alive
        assert stand.watched.pid == stand.pids[0], "the last pid stays known"
        stand.hold.unlink()
        await until(lambda: len(stand.pids) == 2)


async def test_stopped_while_it_is_held_down(tmp_path: Path) -> None:
    async with kept(Stand(tmp_path, SLEEP)) as stand:
        stand.hold.touch()
        psutil.Process(stand.pids[0]).kill()
        await until(lambda: any("stays down" in line for line in stand.said))
    assert len(stand.pids) == 1


async def test_a_frozen_one_is_left_alone_and_stopped_all_the_same(tmp_path: Path) -> None:
    async with kept(Stand(tmp_path, SLEEP)) as stand:
        psutil.Process(stand.pids[0]).suspend()
        await until(lambda: psutil.Process(stand.pids[0]).status() == psutil.STATUS_STOPPED)
        await asyncio.sleep(0.3)
        assert len(stand.pids) == 1
        assert stand.said == []


async def test_one_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    async with kept(Stand(tmp_path, STUBBORN)) as stand:
        await until(lambda: "up" in (tmp_path / "log").read_text())
        await stand.watched.stop(0.1)
        assert not stand.watched.alive
        assert "did not end within 0.1 s: killed" in stand.said[0]


async def test_what_cannot_be_started_is_said(tmp_path: Path) -> None:
    stand = Stand(tmp_path, SLEEP)

    def refuse() -> Command:
        raise Trouble("the disk is full")

    watched = Watched(
        "kafka", refuse, log=tmp_path / "log", hold=stand.hold, say=stand.said.append, started=lambda: None
    )
    task = asyncio.create_task(watched.keep())
    await until(lambda: stand.said)
    assert watched.trouble == "the disk is full"
    await watched.stop(1)
    await task


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "ended with exit code 0"), (2, "ended with exit code 2"), (-signal.SIGKILL, "was ended by SIGKILL"),
     (-99, "was ended by signal 99")],
)  # fmt: skip
def test_how(code: int, words: str) -> None:
    assert how(code) == words
