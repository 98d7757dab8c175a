"""JSON as strictly as RFC 8259 means it, and bounded: what `json` lets pass is refused with 400."""

import json
import math
import re
from collections.abc import Iterable
from typing import NoReturn

from libs.wire.json_values import JsonValue
from libs.wire.problems import Problem

MAX_CONTAINERS = 200_000  # objects and arrays in one text

_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_STRUCTURAL = b'"[]{}'
_NOT_STRUCTURAL = bytes(set(range(256)) - set(_STRUCTURAL))
# Only these escapes can bring in what a UTF-8 text cannot hold itself.
_SUSPICIOUS_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


def parse_json(body: bytes, *, max_depth: int = 32, max_keys: int = 10_000) -> JsonValue:
    """The value of a JSON text.

    Raises Problem 400 `invalid_json` for what is no JSON or no UTF-8, for a byte order mark, NaN, infinities (also by
    overflow), duplicate keys, NUL, lone surrogates, numbers of more than 4,300 digits, deeper nesting than
    `max_depth` and more than `max_keys` keys in the whole text.
    """
    if not body.strip():
        _refuse("the body is empty")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        _refuse("the body is not UTF-8")
    _check_nesting(body, max_depth)
    budget = _KeyBudget(max_keys)
    try:
        value: JsonValue = json.loads(
            text, object_pairs_hook=budget.object, parse_constant=_constant, parse_float=_finite
        )
    except json.JSONDecodeError as error:
        _refuse(f"{error.msg} at line {error.lineno}, column {error.colno}")
    except ValueError:  # int() refuses thousands of digits
        _refuse("a number is too long")
    if _SUSPICIOUS_ESCAPE.search(text):
        _check_texts(value)
    return value


class _KeyBudget:
    """Counts keys over the whole text."""

    def __init__(self, left: int) -> None:
        self._left = left

    def object(self, pairs: list[tuple[str, JsonValue]]) -> JsonValue:
        self._left -= len(pairs)
        if self._left < 0:
            _refuse("there are too many keys")
        made = dict(pairs)
        if len(made) != len(pairs):
            _refuse("a key is repeated")
        return made


def _check_nesting(body: bytes, max_depth: int) -> None:
    """Refuse deep nesting before a recursive parser sees it.

    What is left of the text are its brackets; each round takes away the innermost pairs. Up to its first error a text
    is valid JSON, so strings and escapes are told apart as the parser would: it never goes deeper than counted here.
    """
    if body.count(b"[") + body.count(b"{") <= max_depth:
        return
    if b"\\" in body:
        body = _ESCAPED.sub(b"", body)
    outside_strings = body.translate(None, _NOT_STRUCTURAL).split(b'"')[::2]
    brackets = b"".join(outside_strings)
    if len(brackets) > MAX_CONTAINERS * 2:
        _refuse("there are too many objects and arrays")
    for _ in range(max_depth):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if not brackets:
            return
    _refuse(f"the nesting is deeper than {max_depth} or its brackets do not match")


def _check_texts(value: JsonValue) -> None:
    for text in _texts(value):
        if "\0" in text:
            _refuse("a text holds a NUL character")
        try:
            text.encode()
        except UnicodeEncodeError:
            _refuse("a text holds a lone surrogate")


def _texts(value: JsonValue) -> Iterable[str]:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case list() as items:
                waiting.extend(items)
            case dict() as members:
                yield from members
                waiting.extend(members.values())


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _refuse("a number is too large")
    return number


def _constant(name: str) -> NoReturn:
    _refuse(f"{name} is not JSON")


def _refuse(detail: str) -> NoReturn:
    raise Problem(400, "invalid_json", detail[0].upper() + detail[1:] + ".")
