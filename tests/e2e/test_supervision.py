"""What the supervisor promises: what dies comes back, held is down, a stop leaves nothing, a refusal is one line."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest

from deploy.local import health, kafka
from deploy.local.files import read_object
from deploy.local.layout import CHECKOUT, Layout

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("platform")]


def until(condition: Callable[[], Any], within: float = 60.0) -> Any:
    deadline = time.monotonic() + within
    while not (answer := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return answer


def all_ready(platform: Any) -> bool:
    async def reasons() -> list[str | None]:
        urls = platform.endpoints["services"].values()
        return [await health.not_ready_because(urlsplit(url).port or 0) for url in urls]

    return not any(asyncio.run(reasons()))


def pid_of(platform: Any, name: str) -> int:
    return int(platform.endpoints["processes"][name])


@pytest.mark.parametrize("name", ["tracker", "gateway", "kafka", "postgres"])
def test_a_killed_process_is_back_on_its_port_with_a_new_pid(platform: Any, name: str) -> None:
    before = platform.endpoints
    os.kill(pid_of(platform, name), signal.SIGKILL)
    until(lambda: pid_of(platform, name) != before["processes"][name])
    until(lambda: all_ready(platform))
    after = platform.endpoints
    assert {**after, "processes": None} == {**before, "processes": None}
    others = set(before["processes"]) - {name}
    assert {other: after["processes"][other] for other in others} == {
        other: before["processes"][other] for other in others
    }
    until(lambda: kafka.answers(int(after["kafka"].rpartition(":")[2])))
    assert f"{name} (pid {before['processes'][name]}) was ended by SIGKILL" in platform.layout.log(
        "supervisor"
    ).read_text(encoding="utf-8")


def test_a_dead_process_stays_down_while_it_is_held(platform: Any) -> None:
    pid = pid_of(platform, "scheduler")
    hold = platform.layout.hold / "scheduler"
    hold.touch()
    try:
        os.kill(pid, signal.SIGKILL)
        until(lambda: "scheduler stays down" in platform.layout.log("supervisor").read_text(encoding="utf-8"))
        assert not psutil.pid_exists(pid)
        assert pid_of(platform, "scheduler") == pid
    finally:
        hold.unlink()
    until(lambda: pid_of(platform, "scheduler") != pid)
    until(lambda: all_ready(platform))


def test_a_frozen_process_is_left_alone(platform: Any) -> None:
    pid = pid_of(platform, "scheduler")
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
        time.sleep(1.0)
        assert pid_of(platform, "scheduler") == pid
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: all_ready(platform))


async def test_the_reader_reads_every_schema_and_writes_none(platform: Any) -> None:
    connection = await asyncpg.connect(platform.endpoints["postgres"])
    try:
        schemas = {row["schemaname"] for row in await connection.fetch("SELECT DISTINCT schemaname FROM pg_tables")}
        assert {"gateway", "ingest", "audience", "scheduler", "dispatch", "tracker"} <= schemas
        assert await connection.fetchval("SELECT count(*) FROM audience.migration") > 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM audience.migration")
    finally:
        await connection.close()


def deploy_local(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.local", *arguments],
        env={**os.environ, **environ},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_up_and_down_beside_another_platform(platform: Any, tmp_path: Path) -> None:
    """A second platform with replicas: up, up again, killed supervisor, up again, down."""
    layout = Layout(tmp_path / "run")
    chosen = {"RUN_DIR": str(layout.run), "GATEWAY_PORT": "0", "SANDBOX_PORT": "0", "REPLICAS": "gateway=2"}
    try:
        first = deploy_local("up", **chosen)
        assert first.returncode == 0, first.stdout + first.stderr
        content = _read(layout)
        assert len(content["gateways"]) == 2
        assert set(content["processes"]) >= {"gateway", "gateway-2", "kafka", "postgres"}
        again = deploy_local("up", **chosen)
        assert again.returncode == 0
        assert "already up" in again.stdout
        assert _read(layout) == content
        # A supervisor that cannot clean up any more takes its processes with it.
        supervisor = int(layout.lock.read_text(encoding="utf-8"))
        os.kill(supervisor, signal.SIGKILL)
        until(lambda: not any(_lives(pid) for pid in content["processes"].values()))
        second = deploy_local("up", **chosen)
        assert second.returncode == 0, second.stdout + second.stderr
        assert "demo data loaded" not in second.stdout, "it is still there"
        content = _read(layout)
    finally:
        down = deploy_local("down", **chosen)
    assert down.returncode == 0
    assert "Carillon is down" in down.stdout
    assert not [pid for pid in content["processes"].values() if _lives(pid)]
    assert not layout.endpoints.exists()
    assert "no Carillon runs" in deploy_local("down", **chosen).stdout
    assert all_ready(platform), "the other one was not touched"


def _read(layout: Layout) -> dict[str, Any]:
    content = read_object(layout.endpoints)
    assert content is not None
    return content


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_taken_port_is_one_line(platform: Any, tmp_path: Path) -> None:
    taken = str(urlsplit(platform.gateway).port)
    refused = deploy_local("up", RUN_DIR=str(tmp_path / "run"), GATEWAY_PORT=taken, SANDBOX_PORT="0")
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.count("\n") == 1
    assert refused.stderr.startswith(f"carillon: port {taken} for gateway is taken by process ")


def test_a_service_that_refuses_its_settings_is_named(tmp_path: Path) -> None:
    run = tmp_path / "run"
    refused = deploy_local("up", RUN_DIR=str(run), GATEWAY_PORT="0", SANDBOX_PORT="0", TRACKER_POOL_SIZES="4")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "tracker does not start" in refused.stderr
    assert "TRACKER_POOL_SIZES" in refused.stderr
    assert str(run / "logs" / "tracker.log") in refused.stderr


def test_unknown_choices_are_one_line() -> None:
    refused = deploy_local("up", REPLICAS="kafka=3")
    assert refused.returncode == 1
    assert refused.stderr.startswith("carillon: REPLICAS: kafka cannot be multiplied")
