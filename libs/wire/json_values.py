"""JSON values, and how we write them."""

import json
from typing import TypeAlias

JsonValue: TypeAlias = "dict[str, JsonValue] | list[JsonValue] | str | int | float | bool | None"

JSON_CONTENT_TYPE = "application/json; charset=utf-8"


def json_bytes(value: JsonValue) -> bytes:
    """`value` as compact UTF-8 JSON. Raises ValueError for NaN, infinities and lone surrogates."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
