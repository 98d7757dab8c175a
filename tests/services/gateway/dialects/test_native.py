"""The native API: request -> draft or problem document."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.contracts.audience import Addresses, ClientIds
from libs.contracts.content import SmsContent
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.wire import HttpRequest, Problem
from services.gateway.dialects.native import Native
from services.gateway.dialects.native.posting import PostNotification
from services.gateway.translation import Draft, Start

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
CALL, API = PostNotification(), Native()
TO_ONE: Any = {"client_ids": [7]}
TO_MANY: Any = {"client_ids": [7, 8]}


def body(**changed: Any) -> dict[str, Any]:
    whole = {"channel": "sms", "to": TO_ONE, "content": {"text": "hi"}} | changed
    return {name: value for name, value in whole.items() if value is not ...}


def drafted(**changed: Any) -> Draft:
    (draft,) = CALL.drafts(HttpRequest("POST", "/", {}, body=json.dumps(body(**changed)).encode()), NOW)
    return draft


def refused(**changed: Any) -> dict[str, str]:
    """What is said of which field."""
    with pytest.raises(Problem) as caught:
        drafted(**changed)
    answer = API.refuse(caught.value)
    document = json.loads(answer.body)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status, document["status"], document["type"]) == (422, 422, "urn:carillon:problem:invalid_request")
    assert document["title"]
    return {error["field"]: error["detail"] for error in document["errors"]}


def test_the_least_that_can_be_said() -> None:
    content = SmsContent(text="hi")
    assert drafted() == Draft(Channel.SMS, ClientIds(client_ids=(7,)), content, Lane.URGENT, MessageClass.TRANSACTIONAL)
    assert drafted(to=TO_MANY) == Draft(
        Channel.SMS, ClientIds(client_ids=(7, 8)), content, Lane.BULK, MessageClass.BULK
    )


def test_everything_that_can_be_said() -> None:
    draft = drafted(
        to={"addresses": ["+48 (501) 234-567", "+48501234567"]},
        content={"text": "hi", "sender": "Salon"},
        at="2026-11-23T09:00:00+02:00",
        lane="bulk",
        **{"class": "otp"},
        ordering_key="visit-81",
        expires_at="2026-11-24T00:00:00Z",
    )
    assert draft == Draft(
        Channel.SMS,
        Addresses(addresses=("+48501234567",)),
        SmsContent(text="hi", sender="Salon"),
        Lane.BULK,
        MessageClass.OTP,
        start=Start(datetime(2026, 11, 23, 7, tzinfo=UTC)),
        expires_at=datetime(2026, 11, 24, tzinfo=UTC),
        ordering_key="visit-81",
    )


def test_null_is_left_out() -> None:
    optional = dict.fromkeys(("at", "lane", "class", "ordering_key", "expires_at"))
    assert drafted(**optional, content={"text": "hi", "sender": None}) == drafted()


def test_a_past_instant_is_due_now() -> None:
    assert drafted(at="2020-01-01T00:00:00Z").start == Start(datetime(2020, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("changed", "field", "said"),
    [
        ({"cancel": 1}, "cancel", "is not known here"),
        ({"zone": "Europe/Minsk"}, "zone", "is the zone of at, which is missing"),
        ({"\n" * 9: 1}, "(a name)", "is not known here"),
        ({"content": {"text": "hi", "x": 1}}, "content.x", "is not known here"),
        ({"to": {"client_ids": [1], "filter": {}}}, "to.filter", "is not known here"),
        ({"channel": ...}, "channel", "must be one of: sms, viber, webhook."),
        ({"channel": "pigeon"}, "channel", "must be one of: sms, viber, webhook."),
        ({"channel": ["sms"]}, "channel", "must be one of: sms, viber, webhook."),
        ({"to": ...}, "to", "must be an object"),
        ({"to": [1]}, "to", "must be an object"),
        ({"to": {}}, "to", "must hold either"),
        ({"to": {"client_ids": [1], "addresses": ["+48501234567"]}}, "to", "must hold either"),
        ({"to": {"client_ids": []}}, "to.client_ids", "is empty"),
        ({"to": {"client_ids": [True]}}, "to.client_ids", "whole numbers"),
        ({"to": {"addresses": []}}, "to.addresses", "is empty"),
        ({"to": {"addresses": None}}, "to.addresses", "is missing"),
        ({"to": {"addresses": ["501234567"]}}, "to.addresses", "with its country code"),
        ({"to": {"addresses": ["hello"]}}, "to.addresses", "entry 0"),
        ({"to": {"addresses": ["+48501234567", 48501234567]}}, "to.addresses", "entry 1"),
        ({"to": {"addresses": ["+4850123456789"]}}, "to.addresses", "length"),
        ({"to": {"addresses": ["+999501234567"]}}, "to.addresses", "no phone number"),
        ({"to": {"addresses": [["+48501234567"]]}}, "to.addresses", "must hold phone numbers"),
        ({"to": {"addresses": ["+48 501 234 567"] * 1001}}, "to.addresses", "more than 1000 formatted"),
        ({"content": ...}, "content", "must be an object"),
        ({"content": "hi"}, "content", "must be an object"),
        ({"content": {}}, "content.text", "is missing"),
        ({"content": {"text": "x" * 1601}}, "content.text", "1601 characters"),
        ({"content": {"text": "hi", "sender": ""}}, "content.sender", "at most 11"),
        ({"content": {"text": "hi", "sender": "ALongerSenderName"}}, "content.sender", "at most 11"),
        ({"content": {"text": "hi", "sender": 5}}, "content.sender", "at most 11"),
        ({"at": "2026-11-23T09:00:00"}, "at", "has no offset from UTC. Add one"),
        ({"at": "2026-11-23"}, "at", "has no offset"),
        ({"at": "soon"}, "at", "is not ISO 8601"),
        ({"at": 1700000000}, "at", "must be a string"),
        ({"at": "9999-12-31T23:59:59-23:59"}, "at", "outside the years"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "at", "outside the years"),
        ({"expires_at": "2026-11-22T10:00:00Z"}, "expires_at", "is before"),
        ({"at": "2026-11-25T00:00:00Z", "expires_at": "2026-11-24T00:00:00Z"}, "expires_at", "is before"),
        ({"lane": "fast"}, "lane", "must be one of: urgent, bulk."),
        ({"lane": "urgent", "to": {"client_ids": list(range(501))}}, "lane", "at most 500"),
        ({"class": "spam"}, "class", "must be one of: otp, transactional, bulk, webhook."),
        ({"ordering_key": ""}, "ordering_key", "1 to 200"),
        ({"ordering_key": "k" * 201}, "ordering_key", "1 to 200"),
        ({"ordering_key": "a\nb"}, "ordering_key", "1 to 200"),
        ({"ordering_key": 5}, "ordering_key", "1 to 200"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_refused_and_why(changed: dict[str, Any], field: str, said: str) -> None:
    faults = refused(**changed)
    assert list(faults) == [field]
    assert said in faults[field]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    faults = refused(channel=..., to=..., content=..., at="soon", lane="fast")
    assert set(faults) == {"channel", "to", "content", "at", "lane"}


def test_a_flood_of_faults_is_cut_short() -> None:
    assert len(refused(**{f"x{number}": 1 for number in range(5_000)})) == 20


def test_a_young_notification_is_accepted_in_reads() -> None:
    assert {read.name for read in API.reads} == {"get_notification", "list_deliveries", "get_delivery"}


def test_instants_are_utc_whatever_their_offset() -> None:
    assert drafted(at="2026-11-23T09:00:00+05:30").start == Start(NOW + timedelta(hours=17, minutes=30))
