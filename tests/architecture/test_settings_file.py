"""deploy/settings.env is the manual: it lists every setting, and nothing else."""

import importlib
import inspect
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from libs.settings import Setting, Settings, describe

ROOT = Path(__file__).parents[2]

MODULES = (
    "libs.bus.settings",
    "libs.internal_http",
    "libs.signing",
    "libs.redrive",
    "libs.telemetry.setup",
    "services.audience.settings",
    "services.dispatchers.sms.settings",
    "services.dispatchers.viber.settings",
    "services.dispatchers.webhook.settings",
    "services.gateway.settings",
    "services.ingest.settings",
    "services.sandbox.settings",
    "services.scheduler.settings",
    "services.tracker.settings",
)


class Line(NamedTuple):
    default: str
    comment: str


def _kinds() -> list[type[Settings]]:
    found = []
    for name in MODULES:
        module = importlib.import_module(name)
        classes = [kind for _, kind in inspect.getmembers(module, inspect.isclass) if kind.__module__ == name]
        found += [kind for kind in classes if issubclass(kind, Settings)]
    return found


def _settings() -> dict[str, Setting]:
    return {setting.name: setting for kind in _kinds() for setting in describe(kind)}


def _lines() -> dict[str, Line]:
    listed: dict[str, Line] = {}
    comment = ""
    for text in (ROOT / "deploy" / "settings.env").read_text(encoding="utf-8").splitlines():
        if match := re.fullmatch(r"([A-Z][A-Z0-9_]*)=(.*)", text):
            assert match[1] not in listed, f"{match[1]} stands there twice"
            listed[match[1]] = Line(match[2], comment)
            comment = ""
        else:
            assert not text or text.startswith("#"), f"neither a comment nor a setting: {text}"
            comment = text
    return listed


def test_every_settings_class_is_where_it_is_looked_for() -> None:
    sources = [path for top in ("libs", "services") for path in (ROOT / top).rglob("*.py")]
    pattern = re.compile(r"^    PREFIX\b.*= ", re.MULTILINE)  # what can be loaded has one
    found = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sources
        if pattern.search(path.read_text(encoding="utf-8"))
    }
    assert found == set(MODULES)


def test_prefixes_do_not_overlap() -> None:
    prefixes = [kind.PREFIX for kind in _kinds()]
    assert len(set(prefixes)) == len(prefixes)
    for one in prefixes:
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*_", one)
        assert not [other for other in prefixes if other != one and other.startswith(one)]


def test_the_file_lists_exactly_what_the_classes_have() -> None:
    assert set(_lines()) == set(_settings())


@pytest.mark.parametrize("name", sorted(_settings()))
def test_each_line_tells_the_default_and_a_reason(name: str) -> None:
    setting = _settings()[name]
    line = _lines().get(name)
    assert line is not None, "not in the file"
    assert line.default == setting.default
    assert re.match(r"# (?!-)\S", line.comment), "no comment line above it"
    assert ("Required." in line.comment) == setting.required
    assert ("Secret." in line.comment) == setting.secret
