"""How this API writes what several of its calls have in common."""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from libs.contracts.ids import NotificationId, is_notification_id
from libs.wire import HttpRequest, JsonValue, Problem
from services.gateway.bodies import json_object
from services.gateway.faults import Fault, Faults
from services.gateway.translation import Token

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")

API_KEY = "native"

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}", re.IGNORECASE)
_BEARER = re.compile(r"bearer +([!-~]+) *", re.IGNORECASE)


def api_key(request: HttpRequest) -> Token:
    """The caller's key. Raises Problem 401."""
    key = _BEARER.fullmatch(request.headers.get("authorization", "").strip())
    if key is None:
        raise Problem(401, "unauthenticated", "Send Authorization: Bearer <api key>.")
    return Token(API_KEY, key[1])


def one_of(kind: type[E], value: JsonValue) -> E:
    """A word of a list. Raises Fault."""
    known = {str(member): member for member in kind}
    if isinstance(value, str) and value in known:
        return known[value]
    raise Fault(f"must be one of: {', '.join(known)}.")


def optional(
    name: str, read: Callable[[JsonValue], T], body: Mapping[str, JsonValue], faults: Faults, *, within: str = ""
) -> T | None:
    """The value of a field that may be missing or null; none, and a fault remembered, where it is wrong. `within` is
    the place of `body`."""
    return None if body.get(name) is None else faults.read(f"{within}{name}", read, body[name])


def optional_object(request: HttpRequest) -> dict[str, JsonValue]:
    """The body's object, an empty one where there is no body. Raises Problem."""
    return json_object(request) if request.body.strip() else {}


def uuid(text: JsonValue) -> UUID | None:
    """An id as we write it, with or without hyphens; none for everything else (`UUID` itself takes braces and more)."""
    return UUID(text) if isinstance(text, str) and _UUID.fullmatch(text) else None


def id_in(segments: Mapping[str, str]) -> UUID:
    """The id in the path. Raises Problem 404."""
    found = uuid(segments["id"])
    if found is None:
        raise Problem(404, "not_found", "There is nothing with this id.")
    return found


def notification_in(segments: Mapping[str, str]) -> NotificationId:
    """The notification in the path. Raises Problem 404 for an id that can be none's."""
    found = id_in(segments)
    if not is_notification_id(found):
        raise Problem(404, "not_found", "There is nothing with this id.")
    return NotificationId(found)
