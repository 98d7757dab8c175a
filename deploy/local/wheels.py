"""Programs that come as Python wheels, added to the virtual environment when they are needed."""

import importlib
import os
import sys
from pathlib import Path

from deploy.local.pip import reason
from deploy.local.processes import run
from deploy.local.trouble import Trouble


def install(lock: Path, *, what: str) -> None:
    """Install what `lock` pins, hashes checked, next to the running Python. Raises Trouble with pip's own last line."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    answer = run([*command, "--no-deps", "--require-hashes", "-r", str(lock)], environ=os.environ)
    if answer.returncode:
        raise Trouble(f"cannot fetch {what} ({lock.name}): {reason(answer.stderr)}")
    importlib.invalidate_caches()
