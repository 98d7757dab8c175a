"""The project's virtual environment: `python3 -m deploy.local.venv LOCK...` with any Python 3.11 or newer.

Made with plain pip, whose hashes the locks pin; uv does the same faster where it is found. Nothing is installed again
while a lock and the Python stay as they are.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.local.pip import reason
from deploy.local.trouble import Trouble

FOLDER = Path(".venv")
PYTHON = FOLDER / "bin" / "python"


def main(locks: list[str]) -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - this is what tells
        print(f"carillon: Python 3.11 or newer is needed, this is {sys.version.split()[0]}", file=sys.stderr)
        return 1
    try:
        if not _works():
            _create()
        for lock in map(Path, locks):
            _install(lock)
    except Trouble as trouble:
        print(f"carillon: {trouble}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"carillon: {error.filename or FOLDER}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _works() -> bool:
    """Whether there is a whole environment; an interrupted start may have left half of one."""
    try:
        check = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
        return subprocess.run([PYTHON, "-c", check], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _create() -> None:
    print(f"creating {FOLDER} with Python {sys.version.split()[0]}", flush=True)
    answer = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(FOLDER)], capture_output=True, text=True, check=False
    )
    if answer.returncode:
        complaint = (answer.stdout + answer.stderr).strip().splitlines() or ["no reason given"]
        hint = "; Debian and Ubuntu: apt install python3-venv" if "ensurepip" in " ".join(complaint) else ""
        raise Trouble(f"the virtual environment could not be made: {complaint[-1].strip()}{hint}")


def _install(lock: Path) -> None:
    stamp = FOLDER / f".installed-{'-'.join(lock.parts)}"
    wanted = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    print(f"installing what {lock} pins", flush=True)
    if not _with_uv(lock):
        _with_pip(lock)
    stamp.write_text(wanted, encoding="utf-8")


def _with_uv(lock: Path) -> bool:
    uv = shutil.which("uv")
    if uv is None:
        return False
    options = [
        "--quiet",
        "--compile-bytecode",
        "--no-deps",
        "--require-hashes",
        "--python",
        str(PYTHON),
        "-r",
        str(lock),
    ]
    return subprocess.run([uv, "pip", "install", *options], capture_output=True, check=False).returncode == 0


def _with_pip(lock: Path) -> None:
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--require-hashes"]
    answer = subprocess.run(
        [PYTHON, "-m", "pip", "install", *options, "-r", str(lock)],
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise Trouble(f"what {lock} pins could not be installed: {reason(answer.stderr)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
