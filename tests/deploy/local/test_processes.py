"""A child never outlives the one that started it."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from deploy.local.processes import Command, end, spawn

PARENT = """
import sys, time
from pathlib import Path
from deploy.local.processes import Command, spawn
child = spawn(Command([sys.executable, "-c", "import time; time.sleep(300)"]), Path(sys.argv[1]))
print(child.pid, flush=True)
time.sleep(300)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells it on Linux only")
def test_it_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / "log")], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    child.wait(10)


def test_output_goes_to_the_log_and_is_kept_over_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        process = spawn(Command([sys.executable, "-c", "print('here')"]), tmp_path / "log")
        assert process.wait(20) == 0
    assert (tmp_path / "log").read_text().split() == ["here", "here"]


def test_a_frozen_one_is_ended(tmp_path: Path) -> None:
    command = Command([sys.executable, "-c", "import time; time.sleep(300)"])
    process = spawn(command, tmp_path / "log")
    psutil.Process(process.pid).suspend()
    end(process, command.stop_signal)
    assert process.returncode is not None
