"""A CSV file of contacts, line by line: what each says, or what is wrong with it."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import available_timezones

from libs.phones import e164

MAX_CLIENT_ID = 2**63 - 1
MAX_TEXT = 500

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
_LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
_ZONES = available_timezones()

Reading = Callable[[str], str | None]


class BadHeader(ValueError):  # noqa: N818 - it is the header that is bad
    """The file's first line does not say what the columns are."""


@dataclass(frozen=True, slots=True)
class ContactLine:
    """One contact: `client_id` and the file's other columns in order, an empty one as none."""

    values: Sequence[int | str | None]


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that says nothing we can keep. `problem` does not repeat the person's data."""

    line: int
    problem: str


class ContactFile:
    """The contacts of a CSV file with a header; raises BadHeader when that is missing or has unknown columns.

    Columns: client_id and any of `READINGS`, in any order. `lines` are text with undecodable bytes as surrogates.
    Phones without a country code are read as of `region`.
    """

    def __init__(self, lines: Iterable[str], *, region: str | None = None) -> None:
        self._rows = csv.reader(lines, strict=True)
        self._header = _header(self._rows)
        self._id_index = self._header.index("client_id")
        self.columns: Sequence[str] = [name for name in self._header if name != "client_id"]
        readings: dict[str, Reading] = {**READINGS, "phone": lambda text: e164(text, region)}
        self._readings = [(name, self._header.index(name), readings[name]) for name in self.columns]

    def __iter__(self) -> Iterator[ContactLine | BadLine]:
        seen: set[int] = set()
        while True:
            try:
                row = next(self._rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield BadLine(self._rows.line_num, f"is not CSV: {error}")
                continue
            if row:
                yield self._line(row, seen)

    def _line(self, row: list[str], seen: set[int]) -> ContactLine | BadLine:
        def bad(problem: str) -> BadLine:
            return BadLine(self._rows.line_num, problem)

        if len(row) != len(self._header):
            return bad(f"has {len(row)} fields, the header has {len(self._header)}")
        if _UNSTORABLE.search("".join(row)):
            return bad("holds a NUL or is not UTF-8")
        client_id = _client_id(row[self._id_index])
        if client_id is None:
            return bad(f"client_id is not a whole number from 0 to {MAX_CLIENT_ID}")
        if client_id in seen:
            return bad(f"client_id {client_id} stands in the file twice")
        seen.add(client_id)
        values: list[int | str | None] = [client_id]
        for name, index, reading in self._readings:
            text = row[index].strip()
            value = reading(text) if text else _EMPTY.get(name)
            if text and value is None:
                return bad(f"{name} {_WANTED.get(name, f'is longer than {MAX_TEXT} characters')}")
            values.append(value)
        return ContactLine(values)


def _header(rows: Iterator[list[str]]) -> list[str]:
    try:
        names = [name.strip() for name in next(rows)]
    except StopIteration:
        raise BadHeader("the file is empty") from None
    except csv.Error as error:
        raise BadHeader(f"the first line is not CSV: {error}") from None
    known = ("client_id", *READINGS)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BadHeader(f"{unknown[0][:50]!r} is not a column; they are {', '.join(known)}")
    if len(set(names)) != len(names):
        raise BadHeader("a column stands there twice")
    if "client_id" not in names or len(names) == 1:
        raise BadHeader("there must be a column client_id and at least one other")
    return names


def _client_id(text: str) -> int | None:
    text = text.strip()
    # The length first: turning a million digits into a number takes minutes.
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_CLIENT_ID))):
        return None
    return int(text) if int(text) <= MAX_CLIENT_ID else None


def _text(text: str) -> str | None:
    return text if len(text) <= MAX_TEXT else None


def _matching(pattern: re.Pattern[str], limit: int) -> Reading:
    return lambda text: text if len(text) <= limit and pattern.fullmatch(text) else None


READINGS: dict[str, Reading] = {
    "fullname": _text,
    "phone": e164,
    "email": _matching(_EMAIL, 320),
    "card": _text,
    "locale": _matching(_LOCALE, 35),
    "timezone": lambda text: text if text in _ZONES else None,
    "user_key": _text,
}
_EMPTY = {"fullname": ""}
_WANTED = {
    "phone": "is not a number that can exist, with its country code",
    "email": "is not an e-mail address",
    "locale": "is not a language tag such as en-GB",
    "timezone": "is not an IANA time zone such as Europe/Warsaw",
}
