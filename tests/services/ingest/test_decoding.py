"""Every kind of record becomes a submission or a reason; nothing else ever comes out."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.bus import Undecodable
from libs.contracts.audience import Addresses, ClientIds
from libs.contracts.content import SmsContent
from libs.contracts.routing import Lane, MessageClass
from services.ingest.decoding import Decoder
from services.ingest.sources import SOURCES
from services.ingest.submission import Submission
from tests.services.ingest.making import NOT_AN_ID, NOW, cloud, command, notification, plain, raw

SECRET = "+48600100200"


def decode(value: Any, *, lane: str = "urgent") -> Submission:
    return Decoder(lambda: NOW)(raw(value, lane=lane))


def reason(value: Any) -> str:
    with pytest.raises(Undecodable) as caught:
        decode(value)
    return caught.value.reason


def test_the_least_particular_source_stands_last() -> None:
    assert list(SOURCES)[-1] == "json"
    assert [name for name, source in SOURCES.items() if source.recognises({})] == ["json"]


# --- our gateway's


def test_a_command_comes_through_as_it_is() -> None:
    sent = command(notification(), notification(lane=Lane.BULK))
    found = decode(sent)
    assert found.notifications == sent.notifications
    assert (found.event_id, found.tenant, found.key, found.occurred_at) == (
        sent.event_id,
        sent.tenant,
        sent.key,
        sent.occurred_at,
    )
    assert (found.dialect, found.origin, found.request_id) == ("native", "native", None)
    assert (found.original.value, found.original.offset) == (sent.model_dump_json().encode(), 41)


TWICE = notification()
BROKEN_COMMANDS: dict[str, tuple[dict[str, Any], str]] = {
    "no notifications": ({"notifications": []}, "notifications: Tuple should have at least 1 item"),
    "an unknown kind of content": (
        {"notifications": [json.loads(notification().model_dump_json()) | {"content": {"kind": SECRET}}]},
        "notifications.0.content: unknown kind",
    ),
    "not our kind of id": (
        {"notifications": [json.loads(notification().model_dump_json()) | {"notification_id": str(NOT_AN_ID)}]},
        "notification_id: not a notification's id",
    ),
    "one id twice": (
        {"notifications": [json.loads(TWICE.model_dump_json())] * 2},
        "notification_id: twice in one call",
    ),
    "a version from the future": ({"version": 2}, "version: only version 1 is known"),
    "a broken event id": ({"event_id": SECRET}, "event_id: Input should be a valid UUID"),
}


@pytest.mark.parametrize(("changes", "expected"), BROKEN_COMMANDS.values(), ids=BROKEN_COMMANDS)
def test_a_broken_command_is_refused(changes: dict[str, Any], expected: str) -> None:
    found = reason(json.loads(command().model_dump_json()) | changes)
    assert found.startswith(expected)
    assert SECRET not in found


# --- internal producers', plain


def test_a_plain_record_with_everything() -> None:
    found = decode(
        plain(
            to={"addresses": [SECRET, SECRET, "+375291234567"]},
            content={"text": "привет", "sender": "Salon"},
            at="2026-12-24T18:00:00+01:00",
            expires_at="2026-12-24T20:00:00Z",
            lane="bulk",
            ordering_key="loan-1",
            event="LOAN_CREATED",
            sender_key="loans",
            **{"class": "otp"},
        )
    )
    (only,) = found.notifications
    assert only.to == Addresses(addresses=(SECRET, "+375291234567"))
    assert only.content == SmsContent(text="привет", sender="Salon")
    assert only.at == datetime(2026, 12, 24, 17, tzinfo=UTC)
    assert only.expires_at == datetime(2026, 12, 24, 20, tzinfo=UTC)
    assert (only.lane, only.message_class, only.ordering_key) == (Lane.BULK, MessageClass.OTP, "loan-1")
    assert (only.event, only.sender_key) == ("LOAN_CREATED", "loans")
    assert (found.tenant, found.request_id, found.dialect) == ("demo", "order-7", "json")
    assert (found.origin, found.occurred_at) == ("send.notification.urgent/3/41", NOW)


@pytest.mark.parametrize(("lane", "expected"), [("urgent", MessageClass.TRANSACTIONAL), ("bulk", MessageClass.BULK)])
def test_lane_and_class_follow_from_the_topic(lane: str, expected: MessageClass) -> None:
    (only,) = decode(plain(), lane=lane).notifications
    assert (only.lane, only.message_class) == (lane, expected)


def test_people_are_named_once_in_the_record_s_order() -> None:
    (only,) = decode(plain(to={"client_ids": [3, 1, 3, 2, 1]})).notifications
    assert only.to == ClientIds(client_ids=(3, 1, 2))


def test_the_same_record_has_the_same_cause_each_time() -> None:
    assert decode(plain()).event_id == decode(plain()).event_id == UUID("e458b3e6-de04-5011-ad91-863336013396")


BROKEN_RECORDS: dict[str, tuple[Any, str]] = {
    "a tombstone": (None, "the record has no value"),
    "nothing": (b"", "not JSON in UTF-8"),
    "cut off": (b'{"id": "order-7", "ten', "not JSON in UTF-8"),
    "not UTF-8": (b'{"id": "\xff"}', "not JSON in UTF-8"),
    "NaN": (b'{"id": NaN}', "not JSON in UTF-8"),
    "a lone surrogate": (b'{"id": "\\ud800"}', "not JSON in UTF-8"),
    "very deep": (b'{"id":' + b"[" * 100_000, "not JSON in UTF-8"),
    "a number of 5,000 digits": (b'{"id":' + b"9" * 5_000 + b"}", "not JSON in UTF-8"),
    "a list": (b"[]", "not a JSON object"),
    "NUL": (plain(content={"text": "a\0b"}), "a NUL character in a text"),
    "an empty object": (b"{}", "id: Field required; tenant: Field required; channel: Field required"),
    "of an unknown type": (plain(type="send.pigeon"), "type: unknown field"),
    "no id": (plain(id=...), "id: Field required"),
    "an empty id": (plain(id=""), "id: String should have at least 1 character"),
    "a number for an id": (plain(id=7), "id: Input should be a valid string"),
    "an id too long": (plain(id="x" * 256), "id: String should have at most 255 characters"),
    "no such tenant's name": (plain(tenant="Demo!"), "tenant: String should match pattern"),
    "no such channel": (plain(channel="pigeon"), "channel: Input should be 'sms'"),
    "no recipient": (plain(to={}), "to: Value error, give client_ids or addresses"),
    "both ways": (
        plain(to={"client_ids": [1], "addresses": [SECRET]}),
        "to: Value error, give client_ids or addresses",
    ),
    "an empty list": (plain(to={"client_ids": []}), "to.client_ids: Tuple should have at least 1 item"),
    "a boolean": (plain(to={"client_ids": [1, True]}), "to.client_ids.1: Input should be a valid integer"),
    "2^70": (plain(to={"client_ids": [2**70]}), "to.client_ids.0: Input should be less than or equal to"),
    "too many": (plain(to={"client_ids": list(range(100_001))}), "to.client_ids: Tuple should have at most 100000"),
    "an unknown way": (plain(to={"everybody": True}), "to.everybody: unknown field"),
    "an unknown field": (plain(At="2026-12-24T18:00:00Z"), "At: unknown field"),
    "a phone for a field": (plain(**{SECRET: 1}), "…: unknown field"),
    "no words": (plain(content={}), "content.text: Field required"),
    "no text": (plain(content={"text": ""}), "content.text: String should have at least 1 character"),
    "a time without an offset": (plain(at="2026-12-24T18:00:00"), "at: Input should have timezone info"),
    "a number for a time": (plain(at=1_800_000_000), "at: Value error, a time is RFC 3339 text"),
    "no time": (plain(at=SECRET), "at: Value error, a time is RFC 3339 text"),
    "nearly a time": (plain(at="2026-12-24T25:00:00Z"), "at: Input should be a valid datetime"),
    "an unknown lane": (plain(lane="slow"), "lane: Input should be 'urgent' or 'bulk'"),
    "many problems": (
        {"a": 1, "b": 1, "c": 1},
        "id: Field required; tenant: Field required; channel: Field required; to: Field required; "
        "content: Field required; and 3 more",
    ),
}


@pytest.mark.parametrize(("value", "expected"), BROKEN_RECORDS.values(), ids=BROKEN_RECORDS)
def test_a_broken_record_is_refused(value: Any, expected: str) -> None:
    found = reason(value)
    assert found.startswith(expected)
    assert SECRET not in found


# --- internal producers', as CloudEvents


def test_a_cloud_event_is_its_data() -> None:
    wrapped = decode(cloud(plain(), traceparent="00-x", subject="7", time="2026-11-22T09:30:00Z"))
    assert wrapped.dialect == "cloudevents"
    assert wrapped.model_copy(update={"dialect": "json", "original": None}) == decode(plain()).model_copy(
        update={"original": None, "notifications": wrapped.notifications}
    )
    assert wrapped.request_id == "order-7"


def test_without_an_id_of_its_own_the_event_names_the_request() -> None:
    assert decode(cloud(plain(id=...))).request_id == "/loans#e-1"


def test_the_type_of_an_event_may_be_ours() -> None:
    assert decode(cloud(plain(), type="send.notification")).dialect == "cloudevents"


BROKEN_EVENTS: dict[str, tuple[Any, str]] = {
    "another version": (cloud(plain(), specversion="0.3"), "specversion: Input should be '1.0'"),
    "no id": (cloud(plain(), id=...), "id: Field required"),
    "no source": (cloud(plain(), source=""), "source: String should have at least 1 character"),
    "no type": (cloud(plain(), type=...), "type: Field required"),
    "no data": (cloud(...), "data: Field required"),
    "data as text": (cloud(json.dumps(plain())), "data: Input should be a valid dictionary"),
    "binary data": (cloud(..., data_base64="e30="), "data_base64: give the record as JSON in data"),
    "XML": (cloud(plain(), datacontenttype="application/xml"), "datacontenttype: String should match pattern"),
    "an unknown field of ours": (cloud(plain(text="x")), "text: unknown field"),
    "an id too long": (cloud(plain(id=...), id="x" * 255), "id: String should have at most 255 characters"),
}


@pytest.mark.parametrize(("value", "expected"), BROKEN_EVENTS.values(), ids=BROKEN_EVENTS)
def test_a_broken_event_is_refused(value: Any, expected: str) -> None:
    assert reason(value).startswith(expected)


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/cloudevents+json"]
)
def test_json_has_many_names(kind: str) -> None:
    assert decode(cloud(plain(), datacontenttype=kind)).request_id == "order-7"


# --- whatever comes


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def must_be_a_submission_or_a_reason(value: bytes) -> None:
    try:
        assert isinstance(decode(value), Submission)
    except Undecodable as error:
        assert error.reason


@given(st.binary())
def test_any_bytes(value: bytes) -> None:
    must_be_a_submission_or_a_reason(value)


@given(JSON)
def test_any_json(value: Any) -> None:
    must_be_a_submission_or_a_reason(json.dumps(value).encode())


@given(st.sampled_from([*plain(), "at", "expires_at", "class", "lane", "event", "ordering_key", "type"]), JSON)
def test_a_plain_record_with_any_field_replaced(field: str, value: Any) -> None:
    must_be_a_submission_or_a_reason(json.dumps(plain(**{field: value})).encode())


@given(st.sampled_from([*cloud({}), "datacontenttype"]), JSON)
def test_a_cloud_event_with_any_field_replaced(field: str, value: Any) -> None:
    must_be_a_submission_or_a_reason(json.dumps(cloud(plain()) | {field: value}).encode())


@given(st.sampled_from(list(type(command()).model_fields)), JSON)
def test_a_command_with_any_field_replaced(field: str, value: Any) -> None:
    must_be_a_submission_or_a_reason(json.dumps(json.loads(command().model_dump_json()) | {field: value}).encode())
