"""The native API: channels, what is said on each, what follows, who is told, and wall-clock times."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.contracts.audience import Addresses
from libs.contracts.content import INLINE_LIMIT_BYTES, SmsContent, ViberContent, WebhookContent
from libs.contracts.ids import MAX_STEP, new_notification_id
from libs.contracts.notification import Callback, Fallback
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.wire import HttpRequest, Problem
from services.gateway.dialects.native.posting import PostNotification
from services.gateway.recipients import MAX_URLS
from services.gateway.translation import Accepted, Draft, Start

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
CALL = PostNotification()
HOOK = "https://hooks.example.com/carillon"
VIBER: Any = {"channel": "viber", "content": {"text": "hi"}}
WEBHOOK: Any = {"channel": "webhook", "to": {"addresses": [HOOK]}, "content": {"data": {"order": 81}}}
STEP: Any = {"channel": "viber", "after": 300, "content": {"text": "hi again"}}


def drafted(**changed: Any) -> Draft:
    whole = {"channel": "sms", "to": {"client_ids": [7]}, "content": {"text": "hi"}} | changed
    (draft,) = CALL.drafts(HttpRequest("POST", "/", {}, body=json.dumps(whole).encode()), NOW)
    return draft


def refused(**changed: Any) -> dict[str, str]:
    with pytest.raises(Problem) as caught:
        drafted(**changed)
    assert caught.value.status == 422
    errors: Any = caught.value.extra["errors"]
    return {error["field"]: error["detail"] for error in errors}


def test_a_viber_message() -> None:
    button = {"button_text": "Open", "button_url": "https://example.com/o"}
    content = {"text": "hi", "sender": "Салон №1", "image_url": "HTTP://example.com/a.png", **button}
    draft = drafted(channel="viber", to={"addresses": ["+48 501 234 567"]}, content=content)
    assert draft.to == Addresses(addresses=("+48501234567",))
    assert draft.content == ViberContent(**content)
    assert (draft.channel, draft.lane, draft.message_class) == (
        Channel.VIBER,
        Lane.URGENT,
        MessageClass.TRANSACTIONAL,
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"data": {"order": 81, "name": "Ł"}}, WebhookContent(body='{"order":81,"name":"Ł"}')),
        ({"data": None}, WebhookContent(body="null")),
        (
            {"body": "<a/>", "content_type": "application/xml"},
            WebhookContent(body="<a/>", content_type="application/xml"),
        ),
        (
            {"body": "", "content_type": "text/plain; charset=utf-8"},
            WebhookContent(body="", content_type="text/plain; charset=utf-8"),
        ),
    ],
)
def test_a_webhook(content: Any, expected: WebhookContent) -> None:
    draft = drafted(**WEBHOOK | {"content": content})
    assert (draft.content, draft.to) == (expected, Addresses(addresses=(HOOK,)))
    assert (draft.lane, draft.message_class) == (Lane.URGENT, MessageClass.WEBHOOK)


def test_each_url_once_in_the_caller_s_order() -> None:
    urls = [HOOK, "https://b.example.com/", HOOK]
    assert drafted(**WEBHOOK | {"to": {"addresses": urls}}).to == Addresses(addresses=(HOOK, "https://b.example.com/"))


def test_what_follows_and_who_is_told() -> None:
    steps = [STEP, {"channel": "sms", "after": 1.5, "content": {"text": "last", "sender": "Salon"}}]
    draft = drafted(fallback=steps, callback={"url": HOOK})
    assert draft.fallback == (
        Fallback(channel=Channel.VIBER, after=timedelta(minutes=5), content=ViberContent(text="hi again")),
        Fallback(channel=Channel.SMS, after=timedelta(seconds=1.5), content=SmsContent(text="last", sender="Salon")),
    )
    assert draft.callback == Callback(url=HOOK, dialect="native")
    assert len(drafted(fallback=[STEP] * MAX_STEP).fallback) == MAX_STEP
    assert drafted(fallback=None, callback=None, zone=None) == drafted()


@pytest.mark.parametrize(
    ("changed", "field", "said"),
    [
        (VIBER | {"content": {"text": "x" * 1001}}, "content.text", "1001 characters. Send at most 1000"),
        (VIBER | {"content": {"text": "x", "sender": "s" * 29}}, "content.sender", "at most 28"),
        (VIBER | {"content": {"text": "x", "sender": " "}}, "content.sender", "at most 28"),
        (VIBER | {"content": {"text": "x", "image_url": "javascript:alert(1)"}}, "content.image_url", "http or https"),
        (VIBER | {"content": {"text": "x", "image_url": "data:text/html,x"}}, "content.image_url", "http or https"),
        (VIBER | {"content": {"text": "x", "image_url": "https://"}}, "content.image_url", "http or https"),
        (VIBER | {"content": {"text": "x", "image_url": "https://[::1"}}, "content.image_url", "http or https"),
        (VIBER | {"content": {"text": "x", "image_url": "https://a.b/ c"}}, "content.image_url", "http or https"),
        (VIBER | {"content": {"text": "x", "button_text": "b"}}, "content", "half a button"),
        (VIBER | {"content": {"text": "x", "button_url": HOOK}}, "content", "half a button"),
        (
            VIBER | {"content": {"text": "x", "button_text": "b" * 31, "button_url": HOOK}},
            "content.button_text",
            "at most 30",
        ),
        (VIBER | {"content": {"text": "x", "title": "t"}}, "content.title", "is not known here"),
        (VIBER | {"class": "webhook"}, "class", "for the channel webhook alone"),
        (WEBHOOK | {"to": {"client_ids": [7]}}, "to.client_ids", "have no addresses for a webhook"),
        (WEBHOOK | {"to": {"addresses": [7]}}, "to.addresses", "Look at entry 0"),
        (WEBHOOK | {"to": {"addresses": ["x" * 2049]}}, "to.addresses", "at most 2048"),
        (WEBHOOK | {"to": {"addresses": []}}, "to.addresses", "is empty"),
        (WEBHOOK | {"to": {"addresses": [HOOK] * (MAX_URLS + 1)}}, "to.addresses", "at most 1000 URLs"),
        (WEBHOOK | {"content": {"data": 1, "text": "hi"}}, "content.text", "is not known here"),
        (WEBHOOK | {"content": {"data": 1, "body": "x"}}, "content", "either data"),
        (WEBHOOK | {"content": {"data": 1, "content_type": "text/plain"}}, "content.content_type", "belongs to a body"),
        (WEBHOOK | {"content": {"data": "x" * INLINE_LIMIT_BYTES}}, "content.data", "larger than"),
        (WEBHOOK | {"content": {"body": "x"}}, "content.content_type", "media type"),
        (
            WEBHOOK | {"content": {"body": "x", "content_type": "text/html\r\nx: y"}},
            "content.content_type",
            "media type",
        ),
        (WEBHOOK | {"content": {"body": 1, "content_type": "text/plain"}}, "content.body", "Send JSON as data"),
        (
            WEBHOOK | {"content": {"body": "ż" * INLINE_LIMIT_BYTES, "content_type": "text/plain"}},
            "content.body",
            "larger",
        ),
        (WEBHOOK | {"fallback": [STEP]}, "fallback", "webhook has none"),
        ({"fallback": []}, "fallback", "1 to 15 steps"),
        ({"fallback": STEP}, "fallback", "1 to 15 steps"),
        ({"fallback": [STEP] * 16}, "fallback", "1 to 15 steps"),
        ({"fallback": ["viber"]}, "fallback.0", "must be an object"),
        ({"fallback": [STEP, STEP | {"channel": "webhook"}]}, "fallback.1.channel", "must be one of: sms, viber."),
        ({"fallback": [STEP | {"channel": "pigeon"}]}, "fallback.0.channel", "must be one of"),
        ({"fallback": [STEP | {"after": 0}]}, "fallback.0.after", "seconds from 1 to 604800"),
        ({"fallback": [STEP | {"after": True}]}, "fallback.0.after", "seconds from 1 to 604800"),
        ({"fallback": [STEP | {"after": 604801}]}, "fallback.0.after", "seconds from 1 to 604800"),
        ({"fallback": [STEP | {"after": "300"}]}, "fallback.0.after", "seconds from 1 to 604800"),
        ({"fallback": [STEP | {"content": {"text": ""}}]}, "fallback.0.content.text", "is blank"),
        ({"fallback": [STEP | {"content": None}]}, "fallback.0.content", "must be an object"),
        ({"fallback": [STEP | {"at": 1}]}, "fallback.0.at", "is not known here"),
        ({"callback": HOOK}, "callback", "must be an object"),
        ({"callback": {}}, "callback.url", "must be a URL"),
        ({"callback": {"url": 5}}, "callback.url", "must be a URL"),
        ({"callback": {"url": HOOK, "secret": "x"}}, "callback.secret", "is not known here"),
        ({"at": "2027-03-01T09:00:00Z", "zone": "Europe/Minsk"}, "at", "has an offset and a zone"),
        ({"at": "2027-03-01T09:00:00", "zone": "Mars/Olympus"}, "zone", "must be the name of a zone"),
        ({"at": "2027-03-01T09:00:00", "zone": "../../etc/passwd"}, "zone", "must be the name of a zone"),
        ({"at": "2027-03-01T09:00:00", "zone": 3}, "zone", "must be the name of a zone"),
        ({"at": "2027-03-01", "zone": "Europe/Minsk"}, "at", "no time of the day"),
        ({"at": "soon", "zone": "Europe/Minsk"}, "at", "is not ISO 8601"),
        ({"at": 1, "zone": "Europe/Minsk"}, "at", "must be a string"),
        ({"at": "0001-01-01T00:00:00", "zone": "Asia/Tokyo"}, "at", "outside the years"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_refused_and_why(changed: dict[str, Any], field: str, said: str) -> None:
    faults = refused(**changed)
    assert list(faults) == [field]
    assert said in faults[field]


@pytest.mark.parametrize(
    ("at", "zone", "instant", "adjusted"),
    [
        ("2027-03-01T09:00:00", "Europe/Minsk", "2027-03-01T06:00:00Z", None),
        ("2027-03-01T09:00", "Asia/Kathmandu", "2027-03-01T03:15:00Z", None),
        ("2030-03-31T02:30:00", "Europe/Warsaw", "2030-03-31T01:30:00Z", "gap"),
        ("2030-10-27T02:30:00", "Europe/Warsaw", "2030-10-27T00:30:00Z", "overlap"),
    ],
)
def test_a_wall_clock_time_is_echoed_with_what_became_of_it(
    at: str, zone: str, instant: str, adjusted: str | None
) -> None:
    draft = drafted(at=at, zone=zone)
    wall = datetime.fromisoformat(at).isoformat()
    assert draft.start == Start(datetime.fromisoformat(instant), wall, zone, adjusted)
    number = new_notification_id(NOW)
    answer = json.loads(CALL.answer(Accepted((draft,), (number,), "0" * 32)).body)
    assert answer == {"id": str(number), "trace_id": "0" * 32, "at": instant, "zone": zone, "adjusted": adjusted}


def test_an_instant_is_not_echoed() -> None:
    number = new_notification_id(NOW)
    answer = CALL.answer(Accepted((drafted(at="2027-03-01T09:00:00Z"),), (number,), "0" * 32))
    assert json.loads(answer.body) == {"id": str(number), "trace_id": "0" * 32}
