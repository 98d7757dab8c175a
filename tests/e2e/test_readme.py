"""Every command of the README does what it says, in its order, against a running platform."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("platform")]
README = (Path(__file__).parents[2] / "README.md").read_text()
# ```sh is run here; ```sh norun names what this test cannot run: it starts the platform itself.
COMMANDS = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_commands_run_as_written(platform: Any, tmp_path: Path) -> None:
    assert len(COMMANDS) >= 4
    for command in COMMANDS:
        here = command.replace("http://127.0.0.1:8080", platform.gateway).replace(
            "http://127.0.0.1:8025", platform.sandbox
        )
        script = "set -euo pipefail\n" + here.replace("/tmp/", f"{tmp_path}/").replace(
            "curl -s", "curl -sS --fail-with-body"
        )
        ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, (command, ran.stdout, ran.stderr)
        assert ran.stdout.strip(), command
