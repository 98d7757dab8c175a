"""The file that names a channel's routes, in TOML: a table [[route]] for each."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError, model_validator

from libs.contracts.routing import MessageClass
from services.dispatchers.route import DEFAULT_PRIORITY, Unknown

HttpUrl = Annotated[str, Field(pattern=r"^https?://[^/\s?#@]+(/[^\s?#]*)?$")]
Sender = Annotated[str, Field(min_length=1, max_length=32)]
RouteName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
Concurrency = Annotated[int, Field(ge=1, le=1000)]


class RouteSettings(BaseModel):
    """One route as its operator wrote it. `key_file` is relative to the folder of the file it stands in; `rate` is in
    messages a second; without `tenants` it serves everybody; `unknown` says for a class what is done about messages of
    unknown outcome."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: RouteName
    provider: str
    url: HttpUrl
    key: SecretStr | None = None
    key_file: Path | None = None
    sender: Sender | None = None
    priority: Annotated[int, Field(ge=0, le=1000)] = DEFAULT_PRIORITY
    rate: Annotated[float, Field(ge=0.01, le=100_000)] | None = None
    tenants: tuple[str, ...] = ()
    unknown: dict[MessageClass, Unknown] = Field(default_factory=dict)
    concurrency_urgent: Concurrency | None = None
    concurrency_bulk: Concurrency | None = None

    @model_validator(mode="after")
    def a_key_is_given(self) -> Self:
        """Refuse a route without a key, and one with two."""
        if (self.key is None) == (self.key_file is None):
            raise ValueError("either key or key_file is needed")
        return self


_ROUTES = TypeAdapter(tuple[RouteSettings, ...])


def routes_in(path: Path, providers: Mapping[str, object]) -> Sequence[RouteSettings]:
    """What the file says, keys read. `providers` are classes by name. Raises ValueError naming the route and the field,
    never a value."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the routes file cannot be read ({type(error).__name__})") from None
    except tomllib.TOMLDecodeError:  # its text may quote a key
        raise ValueError("the routes file is no TOML") from None
    if unknown := sorted(set(document) - {"route"}):
        raise ValueError(f"the routes file has tables [[route]] and nothing else, not {', '.join(unknown)}")
    given = document.get("route")
    if not isinstance(given, list) or not given:
        raise ValueError("the routes file has no table [[route]]")
    try:
        routes = _ROUTES.validate_python(given)
    except ValidationError as error:
        raise ValueError("; ".join(_complaint(detail["loc"], detail["msg"]) for detail in error.errors())) from None
    names = [route.name for route in routes]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two routes have one name: {', '.join(twice)}")
    return [_complete(route, path.parent, providers) for route in routes]


def _complaint(location: tuple[int | str, ...], message: str) -> str:
    number, *rest = location
    field = ".".join(str(part) for part in rest)
    return f"route {int(number) + 1}{f', {field}' if field else ''}: {message}"


def _complete(route: RouteSettings, folder: Path, providers: Mapping[str, object]) -> RouteSettings:
    if route.provider not in providers:
        raise ValueError(f"route {route.name}: provider is one of {', '.join(providers)}")
    if Unknown.QUERY in route.unknown.values() and not hasattr(providers[route.provider], "query"):
        raise ValueError(f"route {route.name}: {route.provider} cannot be asked about messages (unknown = query)")
    if route.key_file is None:
        return route
    try:
        key = (folder / route.key_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"route {route.name}: key_file cannot be read ({type(error).__name__})") from None
    if not key:
        raise ValueError(f"route {route.name}: key_file is empty")
    return route.model_copy(update={"key": SecretStr(key), "key_file": None})
