from datetime import timedelta
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field, SecretStr

from libs.settings import Setting, Settings, SettingsError, describe, load


class Example(Settings):
    PREFIX: ClassVar[str] = "EXAMPLE_"

    database: SecretStr
    port: int = 8080
    pause: timedelta = timedelta(seconds=2.5)
    lanes: tuple[str, ...] = ("urgent", "bulk")
    mode: Literal["fast", "safe"] = "safe"
    endpoint: str | None = None
    verbose: bool = False
    share: float = 1.0
    key: Annotated[SecretStr, Field(min_length=3)] | None = None


REQUIRED = {"EXAMPLE_DATABASE": "postgresql://u:hunter2@h/d"}


def test_defaults_and_given_values() -> None:
    settings = load(Example, {**REQUIRED, "EXAMPLE_PORT": "9", "OTHER_PORT": "x", "EXAMPLE_VERBOSE": "true"})
    assert settings.database.get_secret_value() == "postgresql://u:hunter2@h/d"
    assert (settings.port, settings.verbose, settings.endpoint) == (9, True, None)


def test_an_empty_value_means_not_set() -> None:
    assert load(Example, {**REQUIRED, "EXAMPLE_PORT": "", "EXAMPLE_ENDPOINT": ""}).port == 8080


@pytest.mark.parametrize(
    ("text", "seconds"), [("2.5", 2.5), ("90", 90), ("PT2.5S", 2.5), ("P1D", 86400), ("0", 0), ("1e1", 10)]
)
def test_durations(text: str, seconds: float) -> None:
    assert load(Example, {**REQUIRED, "EXAMPLE_PAUSE": text}).pause == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["soon", "inf", "nan", "1e400", "PT"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(SettingsError, match="EXAMPLE_PAUSE"):
        load(Example, {**REQUIRED, "EXAMPLE_PAUSE": text})


def test_lists_are_comma_separated() -> None:
    assert load(Example, {**REQUIRED, "EXAMPLE_LANES": "urgent, bulk,"}).lanes == ("urgent", "bulk")


def test_an_unknown_name_is_named_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"EXAMPLE_DATABSE is not a setting, did you mean EXAMPLE_DATABASE\?"):
        load(Example, {**REQUIRED, "EXAMPLE_DATABSE": "x"})


def test_every_problem_is_named_and_no_value_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Example, {"EXAMPLE_PORT": "hunter2", "EXAMPLE_MODE": "hunter2", "EXAMPLE_XYZ": "hunter2"})
    text = str(caught.value)
    for name in ("EXAMPLE_DATABASE", "EXAMPLE_PORT", "EXAMPLE_MODE", "EXAMPLE_XYZ"):
        assert name in text
    assert "hunter2" not in text
    assert "\n" not in text


def test_a_secret_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "dsn"
    file.write_text("postgresql://from-file\n")
    settings = load(Example, {"EXAMPLE_DATABASE_FILE": str(file)})
    assert settings.database.get_secret_value() == "postgresql://from-file"


def test_a_secret_given_twice_or_unreadable(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="both set"):
        load(Example, {**REQUIRED, "EXAMPLE_DATABASE_FILE": str(tmp_path)})
    with pytest.raises(SettingsError, match="EXAMPLE_DATABASE_FILE cannot be read"):
        load(Example, {"EXAMPLE_DATABASE_FILE": str(tmp_path / "none")})


def test_only_secrets_come_from_files() -> None:
    with pytest.raises(SettingsError, match="EXAMPLE_PORT_FILE is not a setting"):
        load(Example, {**REQUIRED, "EXAMPLE_PORT_FILE": "/etc/port"})


def test_frozen_and_secret_in_no_text() -> None:
    settings = load(Example, REQUIRED)
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1
    assert "hunter2" not in f"{settings!r} {settings}"


def test_describe() -> None:
    assert describe(Example) == [
        Setting("EXAMPLE_DATABASE", "", required=True, secret=True),
        Setting("EXAMPLE_PORT", "8080", required=False, secret=False),
        Setting("EXAMPLE_PAUSE", "2.5", required=False, secret=False),
        Setting("EXAMPLE_LANES", "urgent,bulk", required=False, secret=False),
        Setting("EXAMPLE_MODE", "safe", required=False, secret=False),
        Setting("EXAMPLE_ENDPOINT", "", required=False, secret=False),
        Setting("EXAMPLE_VERBOSE", "false", required=False, secret=False),
        Setting("EXAMPLE_SHARE", "1", required=False, secret=False),
        Setting("EXAMPLE_KEY", "", required=False, secret=True),
    ]


def test_defaults_read_back_as_themselves() -> None:
    shown = {setting.name: setting.default for setting in describe(Example)}
    assert load(Example, {**shown, **REQUIRED}) == load(Example, REQUIRED)
