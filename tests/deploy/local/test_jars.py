"""Downloads: only what is missing, never a wrong one, and one clear line when they fail."""

import hashlib
from pathlib import Path

import pytest

from deploy.local import jars
from deploy.local.jars import Jar
from deploy.local.trouble import Trouble

CONTENT = b"a jar"
GOOD = Jar("org.example", "good", "1.0", hashlib.sha256(CONTENT).hexdigest())


class Central:
    """A repository that serves what it is told and counts."""

    def __init__(self, content: bytes | Exception) -> None:
        self.content = content
        self.asked = 0

    def __call__(self, jar: Jar, scratch: Path) -> Path:
        self.asked += 1
        if isinstance(self.content, Exception):
            raise self.content
        scratch.mkdir(parents=True, exist_ok=True)
        (scratch / jar.name).write_bytes(self.content)
        return scratch / jar.name


def test_a_second_start_downloads_nothing(tmp_path: Path) -> None:
    central = Central(CONTENT)
    folder = jars.ensure(tmp_path, jars=[GOOD], fetch=central)
    assert jars.ensure(tmp_path, jars=[GOOD], fetch=central) == folder
    assert central.asked == 1
    assert [path.name for path in folder.iterdir()] == ["good-1.0.jar"]


def test_a_damaged_file_in_the_cache_is_fetched_again(tmp_path: Path) -> None:
    folder = jars.ensure(tmp_path, jars=[GOOD], fetch=Central(CONTENT))
    (folder / GOOD.name).write_bytes(CONTENT[:-1])
    jars.ensure(tmp_path, jars=[GOOD], fetch=Central(CONTENT))
    assert (folder / GOOD.name).read_bytes() == CONTENT


def test_a_wrong_checksum_names_the_jar_and_both_sums_and_keeps_nothing(tmp_path: Path) -> None:
    with pytest.raises(Trouble) as caught:
        jars.ensure(tmp_path, jars=[GOOD], fetch=Central(b"something else"))
    text = str(caught.value)
    assert "good-1.0.jar" in text
    assert GOOD.sha256 in text
    assert hashlib.sha256(b"something else").hexdigest() in text
    assert "\n" not in text
    assert not list(tmp_path.rglob("*.jar"))


def test_a_failed_download_is_tried_again_and_then_named(tmp_path: Path) -> None:
    central = Central(ConnectionError("connection reset"))
    with pytest.raises(Trouble, match=r"cannot download good-1\.0\.jar .*connection reset"):
        jars.ensure(tmp_path, jars=[GOOD], fetch=central)
    assert central.asked == jars.ATTEMPTS


def test_a_full_disk_is_said_to_be_one(tmp_path: Path) -> None:
    central = Central(OSError(28, "No space left on device"))
    with pytest.raises(Trouble, match="No space left on device"):
        jars.ensure(tmp_path, jars=[GOOD], fetch=central)
    assert central.asked == 1


def test_the_lock_pins_every_jar() -> None:
    pinned = jars.locked()
    assert len(pinned) > 30
    assert all(len(jar.sha256) == 64 for jar in pinned)
    assert len({jar.name for jar in pinned}) == len(pinned)
