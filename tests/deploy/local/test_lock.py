"""One supervisor for each .run/, as long as it lives and not longer."""

import subprocess
import sys
from pathlib import Path

from deploy.local import lock

HOLD = "import sys; from pathlib import Path; from deploy.local import lock; l = lock.take(Path(sys.argv[1])); print(1, flush=True); sys.stdin.read()"  # noqa: E501


def test_nobody_holds_what_is_not_there(tmp_path: Path) -> None:
    assert lock.holder(tmp_path / "lock") is None


def test_the_holder_is_known_until_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with other:
        assert other.stdout is not None
        other.stdout.readline()
        assert lock.holder(path) == other.pid
        assert lock.take(path) is None
        other.kill()
    assert lock.holder(path) is None
    held = lock.take(path)
    assert held is not None
    held.release()


def test_a_stale_pid_in_the_file_means_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("1\n")
    assert lock.holder(path) is None
