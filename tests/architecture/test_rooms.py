"""What the layout promises a newcomer: a file has one topic, and its name tells it."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = [path for folder in ("libs", "services", "deploy") for path in (ROOT / folder).rglob("*.py")]
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base", "core"}
MAX_LINES = 400


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert [path for path in SOURCES if SAYS_NOTHING & set(path.relative_to(ROOT).with_suffix("").parts)] == []


def test_no_file_is_longer_than_one_topic() -> None:
    assert [path for path in SOURCES if len(path.read_text().splitlines()) > MAX_LINES] == []


def test_every_module_says_what_it_is_for() -> None:
    assert [path for path in SOURCES if path.read_text().strip() and not path.read_text().startswith('"""')] == []


def test_sql_stands_in_repositories_alone() -> None:
    statement = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\s+[\w$({*]", re.MULTILINE)
    elsewhere = [
        path
        for path in (ROOT / "services").rglob("*.py")
        if "repository" not in str(path) and statement.search(path.read_text())
    ]
    assert elsewhere == []


def test_top_level_holds_what_the_layout_says() -> None:
    allowed = {"services", "libs", "deploy", "tests", "Makefile", "README.md", "docker-compose.yml"}
    allowed |= {"pyproject.toml", "requirements.lock", "LICENSE"}
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert {name.split("/")[0] for name in listed if not name.startswith(".")} <= allowed
