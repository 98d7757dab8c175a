import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.bus import Undecodable
from libs.bus.parsing import decoder_of, explained, is_probe, timestamp_of, traceparent_of
from libs.contracts.topics import NOTIFICATION_EXPANDED, SEND_NOTIFICATION
from tests.libs.bus.doubles import TRACEPARENT, expanded, raw

SECRET = "+48123456789"
GOOD = json.loads(expanded(7).model_dump_json())


def encoded(**changes: object) -> bytes:
    return json.dumps(GOOD | changes).encode()


def test_a_message_comes_back_as_it_was_sent() -> None:
    message = expanded(7)
    assert decoder_of(NOTIFICATION_EXPANDED)(raw(message.model_dump_json().encode())) == message


@pytest.mark.parametrize(
    ("value", "error_class", "reason"),
    [
        pytest.param(None, "undecodable", "empty", id="null"),
        pytest.param(b"", "undecodable", "empty", id="empty"),
        pytest.param(encoded()[:-10], "undecodable", "not JSON", id="truncated"),
        pytest.param(b"\xff\xfe" + encoded(), "undecodable", "not JSON", id="not UTF-8"),
        pytest.param(b"[" * 100_000, "undecodable", "not JSON", id="deep"),
        pytest.param(b"[1]", "undecodable", "not a JSON object", id="a list"),
        pytest.param(encoded(type="delivery.exploded"), "unsupported", "type is not", id="unknown type"),
        pytest.param(encoded(type=SECRET), "unsupported", "type is not", id="content in the type"),
        pytest.param(encoded(version=2), "unsupported", "version", id="future version"),
        pytest.param(encoded(version=3, planned=None), "unsupported", "version", id="future version, other fields"),
        pytest.param(encoded(planned="call " + SECRET), "undecodable", "planned: int_parsing", id="wrong field"),
        pytest.param(encoded(tenant=SECRET), "undecodable", "tenant: string_pattern_mismatch", id="wrong tenant"),
        pytest.param(b'{"type": "notification.expanded"}', "undecodable", "and 2 more", id="much is missing"),
    ],
)
def test_what_is_wrong_is_named_without_content(value: bytes | None, error_class: str, reason: str) -> None:
    with pytest.raises(Undecodable) as raised:
        decoder_of(NOTIFICATION_EXPANDED)(raw(value))
    assert raised.value.error_class == error_class
    assert reason in raised.value.reason
    assert SECRET not in str(raised.value)


def test_keys_of_free_dicts_are_content_too() -> None:
    command = {"type": "send.notification", "notifications": [{"external": {SECRET: 1}, "channel": SECRET}]}
    with pytest.raises(Undecodable) as raised:
        decoder_of(SEND_NOTIFICATION.bulk)(raw(json.dumps(command).encode()))
    assert SECRET not in raised.value.reason


def test_what_a_service_raises_is_told_by_its_class() -> None:
    problem = explained(KeyError(SECRET), NOTIFICATION_EXPANDED.message)
    assert (problem.error_class, problem.reason) == ("undecodable", "decoding raised KeyError")
    own = Undecodable("duplicate", "the id was used before")
    assert explained(own, NOTIFICATION_EXPANDED.message) is own


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_undecodable(value: bytes) -> None:
    try:
        decoder_of(NOTIFICATION_EXPANDED)(raw(value))
    except Undecodable as problem:
        assert problem.error_class in {"undecodable", "unsupported"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("traceparent", TRACEPARENT.encode())], TRACEPARENT),
        ([("other", b"\xff"), ("null", None), ("traceparent", TRACEPARENT.encode())], TRACEPARENT),
        ([], None),
        ([("traceparent", None)], None),
        ([("traceparent", b"\xff\xfe")], None),
        ([("traceparent", b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01")], None),
        ([("traceparent", TRACEPARENT.encode() + b"\n")], None),
    ],
)
def test_trace_context(headers: list[tuple[str, bytes | None]], expected: str | None) -> None:
    assert traceparent_of(headers) == expected


@given(st.integers(-(2**63), 2**63 - 1))
def test_any_timestamp_is_an_instant(milliseconds: int) -> None:
    assert timestamp_of(milliseconds).tzinfo is UTC


def test_a_usual_timestamp() -> None:
    assert timestamp_of(1_795_348_800_000) == datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_probes_are_known_by_their_header() -> None:
    assert is_probe([("a", None), ("carillon-probe", b"")])
    assert not is_probe([("a", b"carillon-probe")])
