"""Only what is ours is ended: a reused pid and a half-written record are passed over."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import leftovers
from deploy.local.files import read_object
from deploy.local.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    layout.make()
    return layout


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    yield process
    process.kill()
    process.wait()


def test_what_is_left_is_ended(layout: Layout, sleeper: subprocess.Popen[bytes]) -> None:
    leftovers.record(layout, {"tracker": sleeper.pid})
    said: list[str] = []
    layout.endpoints.write_text("{}")
    leftovers.clear(layout, said.append)
    sleeper.wait(5)
    assert said == ["ending what was left running: 1 process"]
    assert not layout.endpoints.exists()
    assert not layout.processes.exists()


def test_a_reused_pid_is_left_alone(layout: Layout, sleeper: subprocess.Popen[bytes]) -> None:
    leftovers.record(layout, {"tracker": sleeper.pid})
    record = read_object(layout.processes)
    assert record is not None
    row = {**record["tracker"], "created": record["tracker"]["created"] - 60}
    assert leftovers.recorded(row) is None
    assert leftovers.recorded(record["tracker"]) is not None


@pytest.mark.parametrize("row", [None, {}, {"pid": "4711"}, {"pid": 4711}, {"pid": None, "created": 1.0}, 4711])
def test_a_damaged_row_means_nothing(row: object) -> None:
    assert leftovers.recorded(row) is None


def test_a_half_written_record_means_nothing(layout: Layout) -> None:
    layout.processes.write_text('{"tracker": {"pid"')
    assert leftovers.alive(layout) == []


def test_orphans_of_postgres_are_found_by_their_directory(layout: Layout) -> None:
    data = layout.postgres / "data"
    data.mkdir()
    orphan = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], cwd=data)
    try:
        assert [process.pid for process in leftovers.alive(layout)] == [orphan.pid]
    finally:
        orphan.kill()
        orphan.wait()
