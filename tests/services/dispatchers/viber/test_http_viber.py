"""Viber over HTTP."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from libs.contracts.content import SmsContent, ViberContent
from libs.contracts.outcomes import Accepted, Ambiguous, Outcome, OutOfFunds, Permanent, Throttled, Transient
from libs.contracts.states import DeliveryState
from libs.settings import SettingsError, load
from libs.wire import HttpRequest, HttpResponse, JsonValue
from services.dispatchers.account import Account
from services.dispatchers.provider import Outbound, Report
from services.dispatchers.viber import PROVIDERS
from services.dispatchers.viber.http_viber import HttpViber
from services.dispatchers.viber.settings import ViberDispatcherSettings
from tests.services.dispatchers.provider_suite import REFERENCES, WORDS, ProviderSuite, outbound

ACCOUNT = Account("http://carrier.test/", SecretStr("key"), "Salon", SecretStr("http://us.test/receipts/x/secret"))
A, B, C = REFERENCES


def answer(*results: JsonValue) -> HttpResponse:
    return HttpResponse.json(200, {"results": list(results)})


def queued(key: str, given: JsonValue) -> JsonValue:
    return {"key": key, "state": "queued", "message_id": given}


class TestHttpViber(ProviderSuite):
    content = ViberContent(text=WORDS)

    def provider(self) -> HttpViber:
        return HttpViber(ACCOUNT)

    def accepted(self) -> HttpResponse:
        return answer(queued(A, "x"), queued(B, "y"), queued(C, "z"))

    def rejected_for_good(self) -> HttpResponse:
        return answer(queued(A, "x"), {"key": B, "state": "refused", "reason": "no_viber"}, queued(C, "z"))


def test_the_registry_knows_it() -> None:
    assert PROVIDERS["http_viber"] is HttpViber


def test_the_request_is_what_the_carrier_reads() -> None:
    plain = ViberContent(text="Hello")
    rich = ViberContent(
        text="Own words",
        sender="Roma",
        image_url="https://example.com/a.png",
        button_text="Book",
        button_url="https://example.com/",
    )
    half = ViberContent(text="No address", button_text="Book")
    messages = [*outbound(2, plain), Outbound(C, "+48500000009", rich, "demo"), Outbound("d" * 32, "+1", half, "demo")]
    request = HttpViber(ACCOUNT).request(messages)
    assert request.url == "http://carrier.test/viber/messages"
    assert request.headers["authorization"] == "Bearer key"
    body = json.loads(request.body)
    assert body["report_to"] == "http://us.test/receipts/x/secret"
    assert body["messages"] == [
        {"key": A, "phone": "+48500000000", "sender": "Salon", "text": "Hello"},
        {"key": B, "phone": "+48500000001", "sender": "Salon", "text": "Hello"},
        {
            "key": C,
            "phone": "+48500000009",
            "sender": "Roma",
            "text": "Own words",
            "image": "https://example.com/a.png",
            "button": {"text": "Book", "url": "https://example.com/"},
        },
        {"key": "d" * 32, "phone": "+1", "sender": "Salon", "text": "No address"},
    ]


def test_other_content_has_no_place_here() -> None:
    with pytest.raises(TypeError, match="sms content"):
        HttpViber(ACCOUNT).request(outbound(1, SmsContent(text="Hello")))


@given(st.text(min_size=1, max_size=50), st.text(min_size=1, max_size=20))
def test_any_text_and_address_survive_the_wire(text: str, to: str) -> None:
    request = HttpViber(ACCOUNT).request([Outbound(A, to, ViberContent(text=text), "demo")])
    (message,) = json.loads(request.body)["messages"]
    assert (message["text"], message["phone"]) == (text, to)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([queued(C, "z"), queued(A, "x"), queued(B, "y")], [Accepted("x"), Accepted("y"), Accepted("z")]),
        ([queued(A, "x")], [Accepted("x"), Ambiguous, Ambiguous]),
        ([queued(A, "x"), queued(A, "again"), queued(B, 7)], [Accepted("x"), Accepted(""), Ambiguous]),
        (
            [
                {"key": A, "state": "busy", "wait": 2},
                {"key": B, "state": "busy"},
                {"key": C, "state": "refused", "reason": "no_funds"},
            ],
            [Throttled("busy", timedelta(seconds=2)), Throttled("busy"), OutOfFunds],
        ),
        (
            [{"key": A, "state": "error", "reason": "x"}, {"key": B, "state": "odd"}, {"key": C}],
            [Transient("x"), Ambiguous, Ambiguous],
        ),
        (
            [None, 7, {"key": 7}, {"key": A, "state": "refused", "reason": "\ud800"}],
            [Permanent("refused"), Ambiguous, Ambiguous],
        ),
    ],
    ids=["shuffled", "missing", "twice", "busy", "odd", "junk"],
)
def test_results_are_matched_by_key(results: list[JsonValue], expected: list[Outcome | type]) -> None:
    body = json.dumps({"results": results}).encode()
    outcomes = HttpViber(ACCOUNT).outcomes(HttpResponse(200, {}, body), REFERENCES)
    for outcome, wanted in zip(outcomes, expected, strict=True):
        assert outcome == wanted or type(outcome) is wanted


NAMES = ["results", "key", "state", "message_id", "events", "event", "at", "wait"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES), inner),
        max_leaves=12,
    )
)
def test_no_answer_and_no_callback_breaks_it(value: JsonValue) -> None:
    body = json.dumps(value).encode()
    assert len(HttpViber(ACCOUNT).outcomes(HttpResponse(200, {}, body), REFERENCES)) == 3
    try:
        HttpViber(ACCOUNT).receipts(HttpRequest("POST", body=body))
    except ValueError as error:
        assert "not a list" in str(error)


def test_it_reads_events_and_passes_over_those_it_cannot_read() -> None:
    at = "2026-11-22T12:00:00.250Z"
    good: list[JsonValue] = [
        {"message_id": "1", "event": "on_device", "at": at},
        {"message_id": "1", "event": "delivered", "at": at},
        {"message_id": "1", "event": "seen", "at": "2026-11-22T12:00:00"},
        {"message_id": "2", "event": "undelivered", "at": at, "reason": "switched_off"},
        {"message_id": "3", "event": "expired", "at": at, "reason": 7},
        {"message_id": "4", "event": "blocked", "at": at, "reason": "x" * 65},
    ]
    bad: list[JsonValue] = [
        {"message_id": "", "event": "delivered", "at": at},
        {"message_id": "5", "event": "odd", "at": at},
        {"message_id": "6", "event": "delivered", "at": "noon"},
        {"message_id": "7", "event": "delivered"},
        None,
    ]
    reports = HttpViber(ACCOUNT).receipts(HttpRequest("POST", body=json.dumps({"events": good + bad}).encode()))
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    quarter = noon.replace(microsecond=250_000)
    assert reports.understood == [
        Report("1", DeliveryState.ON_PHONE, "on_device", quarter),
        Report("1", DeliveryState.DELIVERED, "delivered", quarter),
        Report("1", DeliveryState.DELIVERED, "seen", noon),
        Report("2", DeliveryState.NOT_DELIVERED, "switched_off", quarter),
        Report("3", DeliveryState.NOT_DELIVERED, "7", quarter),
        Report("4", DeliveryState.CARRIER_REJECTED, "blocked", quarter),
    ]
    assert reports.ignored == len(bad)


def test_settings_name_one_account() -> None:
    given = {
        "DATABASE": "postgresql://x",
        "RECEIPT_SECRET": "s" * 16,
        "PUBLIC_URL": "http://us.test",
        "CARRIER_URL": "http://carrier.test",
        "CARRIER_KEY": "key",
    }
    environ = {f"DISPATCHER_VIBER_{name}": value for name, value in given.items()}
    settings = load(ViberDispatcherSettings, environ)
    (declared,) = settings.declared()
    assert declared.name == "http_viber"
    assert (
        settings.account(declared).callback_url.get_secret_value() == f"http://us.test/receipts/http_viber/{'s' * 16}"
    )
    with pytest.raises(SettingsError, match="provider is one of http_viber"):
        load(ViberDispatcherSettings, environ | {"DISPATCHER_VIBER_PROVIDER": "other"})
