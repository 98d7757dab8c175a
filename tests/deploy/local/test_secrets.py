"""Secrets are made once, for their owner only, and never shown."""

import stat
from pathlib import Path

import pytest

from deploy.local import secrets
from deploy.local.trouble import Trouble


def test_made_once(tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    made = secrets.load(path, database_exists=False)
    assert secrets.load(path, database_exists=True) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(set(secrets.as_dict(made).values())) == len(secrets.as_dict(made))


def test_not_shown() -> None:
    assert repr(secrets.Secrets(*["hush"] * 13)) == "Secrets(...)"


@pytest.mark.parametrize("content", [None, "", '{"gateway": "x', "[]", '{"gateway": 1}'])
def test_half_written_before_there_is_a_database(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "secrets"
    if content is not None:
        path.write_text(content)
    assert secrets.load(path, database_exists=False).gateway


@pytest.mark.parametrize("content", [None, '{"gateway": "x'])
def test_lost_while_the_database_needs_them(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "secrets"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Trouble, match="missing or damaged"):
        secrets.load(path, database_exists=True)


def test_a_new_kind_of_secret_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    path.write_text('{"gateway": "kept"}')
    assert secrets.load(path, database_exists=True).gateway == "kept"
