"""Every kind of record becomes a submission or a reason; nothing else ever comes out."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.bus import Undecodable
from libs.contracts.audience import Addresses, ClientIds
from libs.contracts.content import InlineContent, SmsContent, ViberContent, WebhookContent
from libs.contracts.notification import Callback, Fallback
from libs.contracts.routing import Channel, Lane, MessageClass
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


HOOK = "https://hooks.example.com/a"
VIBER: dict[str, Any] = {"channel": "viber", "content": {"text": "hi"}}
WEBHOOK: dict[str, Any] = {"channel": "webhook", "to": {"addresses": [HOOK]}, "content": {"data": {"order": 81}}}
STEP: dict[str, Any] = {"channel": "viber", "after": 300, "content": {"text": "hi again"}}
WALL: dict[str, Any] = {"at": "2030-03-31T02:30:00", "zone": "Europe/Warsaw"}


def test_what_follows_who_is_told_and_a_wall_clock() -> None:
    (only,) = decode(plain(fallback=[STEP], callback={"url": HOOK}, **WALL)).notifications
    assert only.fallback == (
        Fallback(channel=Channel.VIBER, after=timedelta(minutes=5), content=ViberContent(text="hi again")),
    )
    assert only.callback == Callback(url=HOOK, dialect="native")
    assert only.at == datetime(2030, 3, 31, 1, 30, tzinfo=UTC)
    assert (only.wall, only.zone) == ("2030-03-31T02:30:00", "Europe/Warsaw")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (VIBER, ViberContent(text="hi")),
        (
            VIBER | {"content": {"text": "hi", "button_text": "Open", "button_url": HOOK, "image_url": HOOK}},
            ViberContent(text="hi", button_text="Open", button_url=HOOK, image_url=HOOK),
        ),
        (WEBHOOK, WebhookContent(body='{"order":81}')),
        (WEBHOOK | {"content": {"data": None}}, WebhookContent(body="null")),
        (WEBHOOK | {"content": {"body": "x"}}, WebhookContent(body="x")),
        (
            WEBHOOK | {"content": {"body": "", "content_type": "text/plain"}},
            WebhookContent(body="", content_type="text/plain"),
        ),
    ],
)
def test_every_channel(changes: dict[str, Any], expected: InlineContent) -> None:
    (only,) = decode(plain(**changes)).notifications
    assert only.content == expected
    usual = MessageClass.WEBHOOK if changes["channel"] == "webhook" else MessageClass.TRANSACTIONAL
    assert (only.channel, only.message_class) == (Channel(changes["channel"]), usual)


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
    "no such channel": (plain(channel="pigeon"), "channel: Input should be 'sms', 'viber' or 'webhook'"),
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
    "words of another channel": (plain(channel="webhook"), "content.text: unknown field"),
    "half a button": (
        plain(**VIBER | {"content": {"text": "x", "button_text": SECRET}}),
        "content: Value error, give both button_text and button_url",
    ),
    "a link that is a script": (
        plain(**VIBER | {"content": {"text": "x", "image_url": "javascript:alert(1)"}}),
        "content.image_url: String should match pattern",
    ),
    "nothing to post": (plain(**WEBHOOK | {"content": {}}), "content: Value error, give data or body"),
    "two things to post": (
        plain(**WEBHOOK | {"content": {"data": 1, "body": "x"}}),
        "content: Value error, give data or body",
    ),
    "a type without a body": (
        plain(**WEBHOOK | {"content": {"data": 1, "content_type": "text/plain"}}),
        "content: Value error, content_type belongs to a body",
    ),
    "too much to post": (
        plain(**WEBHOOK | {"content": {"data": "x" * 300_000}}),
        "content.body: String should have at most",
    ),
    "too many steps": (plain(fallback=[STEP] * 16), "fallback: Tuple should have at most 15 items"),
    "a step at once": (plain(fallback=[STEP | {"after": 0}]), "fallback.0.after: Input should be greater than"),
    "a step in words": (plain(fallback=[STEP | {"after": SECRET}]), "fallback.0.after: Input should be a valid number"),
    "a step without words": (
        plain(fallback=[STEP, STEP | {"content": {}}]),
        "fallback.1.content.text: Field required",
    ),
    "nobody to tell": (plain(callback={}), "callback.url: Field required"),
    "a zone with an offset": (
        plain(at="2030-03-31T02:30:00Z", zone="Europe/Warsaw"),
        "at: Input should be what the clocks of the zone show, without an offset",
    ),
    "a zone without a time": (plain(zone="Europe/Warsaw"), "at: Input should be what the clocks of the zone show"),
    "no such zone": (plain(**WALL | {"zone": SECRET}), "zone: no such zone"),
    "the end of time in a zone": (
        plain(at="9999-12-31T23:59:59", zone="America/New_York"),
        "zone: no such zone, or no such time in it",
    ),
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


FIELDS = "text", "sender", "data", "body", "content_type", "image_url", "button_text", "button_url"


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


OPTIONAL = "at", "zone", "expires_at", "class", "lane", "event", "ordering_key", "type", "fallback", "callback"


@given(st.sampled_from([{}, VIBER, WEBHOOK, WALL]), st.sampled_from([*plain(), *OPTIONAL]), JSON)
def test_a_plain_record_with_any_field_replaced(kind: dict[str, Any], field: str, value: Any) -> None:
    must_be_a_submission_or_a_reason(json.dumps(plain(**kind | {field: value})).encode())


@given(st.sampled_from(["sms", "viber", "webhook"]), st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_words_on_any_channel(channel: str, content: Any) -> None:
    must_be_a_submission_or_a_reason(json.dumps(plain(channel=channel, content=content)).encode())
    steps = [{"channel": channel, "after": 1, "content": content}]
    must_be_a_submission_or_a_reason(json.dumps(plain(fallback=steps)).encode())


@given(st.sampled_from([*cloud({}), "datacontenttype"]), JSON)
def test_a_cloud_event_with_any_field_replaced(field: str, value: Any) -> None:
    must_be_a_submission_or_a_reason(json.dumps(cloud(plain()) | {field: value}).encode())


@given(st.sampled_from(list(type(command()).model_fields)), JSON)
def test_a_command_with_any_field_replaced(field: str, value: Any) -> None:
    must_be_a_submission_or_a_reason(json.dumps(json.loads(command().model_dump_json()) | {field: value}).encode())
