import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from libs import runtime
from libs.contracts.failures import Unavailable

ROOT = Path(__file__).parents[2]

SERVICE = """
import asyncio, sys
from typing import ClassVar
from pydantic import SecretStr
from libs import runtime
from libs.contracts.failures import Unavailable
from libs.settings import Settings, load

class ExampleSettings(Settings):
    PREFIX: ClassVar[str] = "EXAMPLE_"
    mode: str
    secret: SecretStr = SecretStr("hunter2")

starts = 0

async def say(text):
    print(text, flush=True)

async def hang():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

async def serve(stack):
    global starts
    starts += 1
    mode = load(ExampleSettings).mode
    await say("start one")
    stack.push_async_callback(say, "stop one")
    if mode == "waits" and starts < 3:
        raise Unavailable("postgres: away")
    if mode == "fails":
        raise KeyError("+48600100200")
    if mode == "never starts":
        await say("ready")
        await asyncio.sleep(3600)
    if mode == "dies":
        async def die():
            raise KeyError("ouch")
        runtime.background(stack, die, "sender")
    if mode == "hangs":
        stack.push_async_callback(hang)
    if mode == "stop fails":
        async def fail():
            raise KeyError("ouch")
        stack.push_async_callback(fail)
    async def loop():
        try:
            await asyncio.sleep(3600)
        finally:
            await say("loop ended")
    runtime.background(stack, loop, "loop")
    await say("start two")
    stack.push_async_callback(say, "stop two")
    await say("ready")

if len(sys.argv) > 1 and sys.argv[1] == "quick":
    del sys.argv[1]
    runtime.STOP_TIMEOUT = 0.2

if __name__ == "__main__":
    runtime.main("example", card="Example: a service for tests.", settings=[ExampleSettings], serve=serve)
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("service") / "example.py"
    path.write_text(SERVICE)
    return path


@contextmanager
def _running(script: Path, mode: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(script), *arguments],
        env={"PYTHONPATH": str(ROOT), "EXAMPLE_MODE": mode, "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _until_ready(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if lines[-1] == "ready":
            break
    return lines


def _end(process: subprocess.Popen[str], number: int | None = None) -> tuple[int, list[str], list[dict[str, object]]]:
    if number is not None:
        process.send_signal(number)
    out, err = process.communicate(timeout=30)
    return process.returncode, out.split("\n")[:-1], [json.loads(line) for line in err.splitlines()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_starts_in_order_and_stops_in_reverse(script: Path, number: int) -> None:
    with _running(script, "plain") as process:
        assert _until_ready(process) == ["start one", "start two", "ready"]
        code, out, log = _end(process, number)
    assert (code, out) == (0, ["stop two", "loop ended", "stop one"])
    assert log[-1]["message"] == "stopped"
    assert not [line for line in log if line["level"] != "info"]


def test_the_start_waits_for_what_is_away(script: Path) -> None:
    with _running(script, "waits") as process:
        lines = _until_ready(process)
        code, _, log = _end(process, signal.SIGTERM)
    assert lines == ["start one", "stop one"] * 2 + ["start one", "start two", "ready"]
    assert code == 0
    assert [(line["message"], line.get("reason")) for line in log][:2] == [("start waits", "postgres: away")] * 2


def test_a_start_that_fails_for_good(script: Path) -> None:
    with _running(script, "fails") as process:
        code, out, log = _end(process)
    assert (code, out) == (1, ["start one", "stop one"])
    assert log[0]["message"] == "cannot start"
    assert log[0]["error"] == "KeyError"
    assert "48600100200" not in json.dumps(log)


def test_a_signal_while_starting(script: Path) -> None:
    with _running(script, "never starts") as process:
        _until_ready(process)
        code, out, _ = _end(process, signal.SIGTERM)
    assert (code, out) == (0, ["stop one"])


def test_a_part_that_dies_ends_the_process(script: Path) -> None:
    with _running(script, "dies") as process:
        code, out, log = _end(process)
    assert code == 1
    assert out[-2:] == ["loop ended", "stop one"]
    assert [line["message"] for line in log if line["level"] == "error"] == ["a part died", "ended because a part died"]


def test_a_stop_that_hangs_is_left_behind(script: Path) -> None:
    with _running(script, "hangs", "quick") as process:
        _until_ready(process)
        code, _, log = _end(process, signal.SIGTERM)
    assert code == 1
    assert log[-1]["message"] == "stopping took too long, leaving now"


def test_a_stop_that_fails_does_not_keep_the_rest_from_stopping(script: Path) -> None:
    with _running(script, "stop fails") as process:
        _until_ready(process)
        _, out, log = _end(process, signal.SIGTERM)
    assert out == ["stop two", "loop ended", "stop one"]
    assert "stopping failed" in [line["message"] for line in log]


def test_help_is_the_card_and_the_settings(script: Path) -> None:
    with _running(script, "", "--help") as process:
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Example: a service for tests." in out
    assert "EXAMPLE_MODE   (required)" in out
    assert "EXAMPLE_SECRET   (secret)" in out
    assert "TELEMETRY_LOG_LEVEL=info" in out
    assert "hunter2" not in out


@pytest.mark.parametrize("arguments", [(), ("--check-settings",)])
def test_wrong_settings_are_one_line(script: Path, arguments: tuple[str, ...]) -> None:
    with _running(script, "", *arguments) as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert (out, err) == ("", "example: EXAMPLE_MODE: Field required\n")


def test_right_settings_are_said_by_the_exit_code(script: Path) -> None:
    with _running(script, "plain", "--check-settings") as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")


async def test_repeat_waits_only_when_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "RETRY_FIRST", 0.001)
    answers: list[object] = [True, True, Unavailable("away"), False, None]
    finished = asyncio.Event()

    async def work() -> bool | None:
        answer = answers.pop(0)
        if not answers:
            finished.set()
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)

    async with AsyncExitStack() as stack:
        runtime.repeat(stack, work, "poll", pause=0.001)
        await asyncio.wait_for(finished.wait(), 5)


async def test_without_a_process_a_death_is_seen_when_the_stack_unwinds() -> None:
    async def die() -> None:
        raise KeyError("ouch")

    with pytest.raises(KeyError):
        async with AsyncExitStack() as stack:
            runtime.background(stack, die, "sender")
            await asyncio.sleep(0)
