import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.wire import JsonValue, Problem, parse_json


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": [1, 2.5, "x", null, true]}', {"a": [1, 2.5, "x", None, True]}),
        (b" 7 ", 7),
        (str(2**70).encode(), 2**70),
        (b"-0.0", -0.0),
        ('"Ü\\u00fc\\ud83d\\ude00"'.encode(), "Üü😀"),
        (rb'"\\u0000"', "\\u0000"),
        (rb'"\\ud800"', "\\ud800"),
        (b'"' + b"[{" * 1000 + b'"', "[{" * 1000),
        (rb'{"\"[[[": ["]}\\"]}' + b" " * 100, {'"[[[': ["]}\\"]}),
        (b"[" * 32 + b"]" * 32, "nested"),
        (json.dumps([[]] * 1000).encode(), [[]] * 1000),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_json(body: bytes, value: JsonValue) -> None:
    parsed = parse_json(body)
    if value != "nested":
        assert parsed == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b"nothing",
        b"{",
        b"[1,]",
        b'{"a":1}x',
        b"\xff",
        b'"\xed\xa0\x80"',  # a surrogate as UTF-8
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e999",
        b"[-1e999]",
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        rb'{"a":1,"\u0061":2}',
        b'"\x00"',
        rb'"\u0000"',
        rb'{"\u0000":1}',
        rb'"\ud800"',
        rb'["x", "\udc00\ud800"]',
        rb'{"\uDFFF":1}',
        b"1" * 10_001,
        b"-" + b"9" * 5_000,
        b"[" * 33 + b"]" * 33,
        b"[" * 1_000_000,
        b"[" * 1_000_000 + b"]" * 1_000_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'["\\",' + b"[" * 100_000,
        b"\\" + b"[" * 100_000,
        b'"' + b"\\" * 99_999,
        b"[[[[" * 20 + b"}" * 80,
        json.dumps({str(n): n for n in range(10_001)}).encode(),
        json.dumps([{"a": 1}] * 10_001).encode(),
        b"[" + b"[]," * 200_001 + b"1]",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_refused(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        parse_json(body)
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


def test_limits_can_be_chosen() -> None:
    assert parse_json(b"[[[1]]]", max_depth=3) == [[[1]]]
    with pytest.raises(Problem):
        parse_json(b"[[[1]]]", max_depth=2)
    with pytest.raises(Problem):
        parse_json(b'{"a":1,"b":2}', max_keys=1)


def _json_values(texts: st.SearchStrategy[str]) -> st.SearchStrategy[object]:
    leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=20
    )


# Brackets, quotes and backslashes inside strings are what could fool the check of the nesting.
_TRICKY = st.text(alphabet='[]{}"\\abü😀\n', max_size=8)


@given(value=_json_values(_TRICKY), escape=st.booleans())
def test_json_is_read_as_the_standard_library_reads_it(value: object, escape: bool) -> None:
    body = json.dumps(value, ensure_ascii=escape).encode()
    assert parse_json(body) == value


@given(body=st.binary(max_size=200) | st.text(alphabet='[]{}",:\\u0dD8e+-.19 tfnNI', max_size=80).map(str.encode))
def test_whatever_comes_is_a_value_or_a_problem(body: bytes) -> None:
    try:
        value = parse_json(body, max_depth=4)
    except Problem as problem:
        assert problem.status == 400
        return
    assert not isinstance(value, float) or math.isfinite(value)
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


@given(depth=st.integers(1, 60), opening=st.sampled_from(["[", '{"a":']))
def test_depth_is_counted_exactly(depth: int, opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    body = (opening * depth + "1" + closing * depth).encode()
    if depth <= 32:
        parse_json(body)
    else:
        with pytest.raises(Problem, match="nesting"):
            parse_json(body)
