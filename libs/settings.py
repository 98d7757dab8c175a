"""Typed settings from the environment: read once at start, and an unknown name stops the start."""

import difflib
import os
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from libs.contracts.routing import Lane

S = TypeVar("S", bound="Settings")

FILE_SUFFIX = "_FILE"


class Settings(BaseModel):
    """One service's or library's settings. Field `database` of a class with PREFIX "TRACKER_" is TRACKER_DATABASE."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    PREFIX: ClassVar[str]


class SettingsError(Exception):
    """The environment does not make valid settings. The text names the variables, never a value."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable as the manual shows it. `default` is its text in the environment, empty when there is none."""

    name: str
    default: str
    required: bool
    secret: bool


Port = Annotated[int, Field(ge=0, le=65535)]
ServedLanes = Annotated[tuple[Lane, ...], Field(min_length=1)]
EVERY_LANE = tuple(Lane)


class ServiceSettings(Settings):
    """What every service with a schema of its own reads. `database` is the DSN of the role that owns the schema, `port`
    0 takes any free one, `instance` is the replica's stable name."""

    database: SecretStr
    host: str = "127.0.0.1"
    port: Port
    instance: Annotated[str, Field(min_length=1, max_length=64)] = "1"


def load(kind: type[S], environ: Mapping[str, str] | None = None) -> S:
    """The settings of `kind` from `environ` (the process's own unless given).

    An empty value means not set. NAME_FILE gives a secret's file instead of the secret. A duration is plain seconds
    ("2.5") or ISO 8601 ("PT2.5S"); a tuple is a comma-separated list. Raises SettingsError naming every variable
    that is unknown, missing or malformed.
    """
    given = {
        name: value
        for name, value in (os.environ if environ is None else environ).items()  # noqa: TID251 - the one reader
        if name.startswith(kind.PREFIX) and value
    }
    problems: list[str] = []
    values: dict[str, object] = {}
    for field_name, info in kind.model_fields.items():
        name = variable(kind, field_name)
        text = given.pop(name, None)
        path = given.pop(name + FILE_SUFFIX, None) if _is_secret(info) else None
        if path is not None and text is not None:
            problems.append(f"{name} and {name}{FILE_SUFFIX} are both set")
        elif path is not None:
            text = _secret_from(path, name, problems)
        if text is not None:
            values[field_name] = _plain_value(info, text)
    problems += [_unknown(name, kind) for name in sorted(given)]
    try:
        settings = kind.model_validate(values)
    except ValidationError as error:
        problems += [_malformed(kind, detail["loc"], detail["msg"]) for detail in error.errors(include_input=False)]
        raise SettingsError("; ".join(problems)) from None
    if problems:
        raise SettingsError("; ".join(problems))
    return settings


def variable(kind: type[Settings], field_name: str) -> str:
    """The environment variable of a field."""
    return kind.PREFIX + field_name.upper()


def describe(kind: type[Settings]) -> Sequence[Setting]:
    """Every variable of `kind`, in the order of its fields."""
    return [
        Setting(
            name=variable(kind, field_name),
            default=""
            if _is_secret(info) or info.is_required()
            else _text(info.get_default(call_default_factory=True)),
            required=info.is_required(),
            secret=_is_secret(info),
        )
        for field_name, info in kind.model_fields.items()
    ]


def _types(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the annotation itself."""
    members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return tuple(get_args(member)[0] if get_origin(member) is Annotated else member for member in members)


def _is_secret(info: FieldInfo) -> bool:
    return SecretStr in _types(info.annotation)


def _plain_value(info: FieldInfo, text: str) -> object:
    kinds = _types(info.annotation)
    if timedelta in kinds:
        return _duration(text)
    if any(get_origin(kind) in (tuple, frozenset, list) for kind in kinds):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _duration(text: str) -> object:
    try:
        return timedelta(seconds=float(text))
    except (ValueError, OverflowError):
        return text  # ISO 8601, or pydantic says what is wrong with it


def _secret_from(path: str, name: str, problems: list[str]) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{name}{FILE_SUFFIX} cannot be read ({type(error).__name__})")
        return None


def _unknown(name: str, kind: type[Settings]) -> str:
    known = [setting.name for setting in describe(kind)]
    known += [setting.name + FILE_SUFFIX for setting in describe(kind) if setting.secret]
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0)
    return f"{name} is not a setting" + (f", did you mean {nearest[0]}?" if nearest else "")


def _malformed(kind: type[Settings], location: tuple[int | str, ...], message: str) -> str:
    if not location:
        return f"{kind.PREFIX}*: {message}"
    return f"{variable(kind, str(location[0]))}: {message}"


def _text(value: object) -> str:
    """A default as it would stand in the environment."""
    match value:
        case None:
            text = ""
        case bool():
            text = "true" if value else "false"
        case Enum():
            text = str(value.value)
        case timedelta():
            text = _text(value.total_seconds())
        case float() if value.is_integer():
            text = str(int(value))
        case tuple() | frozenset() | list():
            text = ",".join(_text(item) for item in value)
        case _:
            text = str(value)
    return text
