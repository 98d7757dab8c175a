"""What is wrong with a record, told without repeating anything from it but the names of fields."""

import re

from pydantic import ValidationError

MAX_NAMED = 5
_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z_.-]{0,62}")


def describe(error: ValidationError, *, within: str = "") -> str:
    """The first few problems as `place: what`, e.g. `to.client_ids.3: Input should be a valid integer`. `within` is
    where in the record the validated part stands."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    told = [
        f"{_place(within, problem['loc'])}: {_what(problem['type'], problem['msg'])}"
        for problem in problems[:MAX_NAMED]
    ]
    more = [f"and {len(problems) - MAX_NAMED} more"] if len(problems) > MAX_NAMED else []
    return "; ".join(told + more)


def _place(within: str, location: tuple[int | str, ...]) -> str:
    """A field that is not ours may be named with somebody's phone number: only what looks like a name is repeated."""
    parts = [str(part) if isinstance(part, int) or _FIELD_NAME.fullmatch(part) else "…" for part in location]
    return ".".join([within, *parts] if within else parts) or "record"


def _what(kind: str, message: str) -> str:
    match kind:
        case "extra_forbidden":
            return "unknown field"
        case "union_tag_invalid":
            return "unknown kind"  # pydantic's own text repeats what was given
        case "uuid_parsing" | "datetime_parsing" | "datetime_from_date_parsing":
            return message.partition(",")[0]  # behind the comma stand characters of what was given
        case _:
            return message
