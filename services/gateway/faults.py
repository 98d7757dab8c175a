"""What is wrong with a request, collected field by field, so that a caller learns of everything at once."""

from collections.abc import Callable
from typing import TypeVar

from libs.wire import JsonValue, Problem

V = TypeVar("V")
T = TypeVar("T")

# A hundred thousand bad list items would make an answer larger than the request.
MAX_REPORTED = 20


class Fault(Exception):  # noqa: N818 - the caller's, not ours
    """What is wrong with one value, in words that say what to do. Never holds the value."""


class Faults:
    """The faults of one request."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, field: str, detail: str) -> None:
        """Remember that `field` is wrong."""
        if len(self._found) < MAX_REPORTED:
            self._found.append((field, detail))

    def read(self, field: str, read: Callable[[V], T], value: V) -> T | None:
        """The value as `read` understands it; none, and a fault remembered, where it does not."""
        try:
            return read(value)
        except Fault as fault:
            self.add(field, str(fault))
            return None

    def unknown(self, field: str, given: dict[str, JsonValue], known: frozenset[str]) -> None:
        """Remember every name in `given` that is not `known`: a misspelt option must not be passed over."""
        for name in given:
            if name not in known:
                where = f"{field}.{_shown(name)}" if field else _shown(name)
                self.add(where, f"is not known here. Known: {', '.join(sorted(known))}.")

    def problem(self) -> Problem:
        """All of them as one 422; `errors` holds an entry for each."""
        errors: list[JsonValue] = [{"field": field, "detail": detail} for field, detail in self._found]
        detail = " ".join(f"{field} {detail}" for field, detail in self._found)
        return Problem(422, "invalid_request", detail, extra={"errors": errors})


def _shown(name: str) -> str:
    return name if len(name) <= 40 and name.isprintable() else "(a name)"
