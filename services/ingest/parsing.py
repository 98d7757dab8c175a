"""From bytes to a JSON object that can be kept."""

from typing import Any

from pydantic_core import from_json

from services.ingest.submission import Document, Unreadable


def parse(value: bytes | None) -> Document:
    """The JSON object in a record's value. Raises Unreadable, also for NUL characters: Postgres has none in text."""
    if value is None:
        raise Unreadable("the record has no value")
    try:
        document = from_json(value, allow_inf_nan=False)
    except ValueError:
        raise Unreadable("not JSON in UTF-8") from None
    if not isinstance(document, dict):
        raise Unreadable("not a JSON object")
    # The escape is the only way to write one; looking for it first spares the walk.
    if b"\\u0000" in value and _has_nul(document):
        raise Unreadable("a NUL character in a text")
    return document


def _has_nul(value: Any) -> bool:
    match value:
        case str():
            return "\0" in value
        case dict():
            return any("\0" in name or _has_nul(item) for name, item in value.items())
        case list():
            return any(map(_has_nul, value))
        case _:
            return False
