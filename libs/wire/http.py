"""Requests and answers as plain values, so that dialects and providers can translate without doing I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from libs.wire.json_values import JSON_CONTENT_TYPE, JsonValue, json_bytes

Headers: TypeAlias = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. `path` is decoded and has no query; `headers` and `query` keep the last of repeated names, header
    names in lower case; `url` is the absolute URL where the request is one of ours to send."""

    method: str
    path: str = "/"
    headers: Headers = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    url: str = ""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One answer."""

    status: int
    headers: Headers = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def json(cls, status: int, value: JsonValue, headers: Headers | None = None) -> "HttpResponse":
        """An answer with `value` as compact UTF-8 JSON. Raises ValueError for NaN and infinities."""
        return cls(status, {"content-type": JSON_CONTENT_TYPE, **(headers or {})}, json_bytes(value))
