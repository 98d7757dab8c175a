import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from libs.contracts.content import SmsContent
from libs.contracts.outcomes import Accepted, Ambiguous, Outcome, Permanent, Throttled, Transient
from libs.contracts.states import DeliveryState
from libs.wire import HttpRequest, HttpResponse, JsonValue
from services.dispatchers.account import Account
from services.dispatchers.provider import NOT_KNOWN, Outbound, Report
from services.dispatchers.sms import PROVIDERS
from services.dispatchers.sms.http_smsc import HttpSmsc
from tests.services.dispatchers.provider_suite import REFERENCES, ProviderSuite, outbound

ACCOUNT = Account("http://carrier.test/", SecretStr("key"), "Salon", SecretStr("http://us.test/receipts/x/secret"))
A, B, C = REFERENCES


def answer(*results: JsonValue) -> HttpResponse:
    return HttpResponse.json(200, {"results": list(results)})


def accepted(reference: str, given: JsonValue) -> JsonValue:
    return {"reference": reference, "id": given, "status": "accepted"}


class TestHttpSmsc(ProviderSuite):
    def provider(self) -> HttpSmsc:
        return HttpSmsc(ACCOUNT)

    def accepted(self) -> HttpResponse:
        return answer(accepted(A, "x"), accepted(B, "y"), accepted(C, "z"))

    def rejected_for_good(self) -> HttpResponse:
        return answer(
            accepted(A, "x"), {"reference": B, "status": "rejected", "code": "invalid_number"}, accepted(C, "z")
        )


def test_the_registry_knows_it() -> None:
    assert PROVIDERS["http_smsc"] is HttpSmsc


def test_the_request_is_what_the_carrier_reads() -> None:
    messages = [*outbound(2), Outbound(C, "+48500000009", SmsContent(text="Own words", sender="Roma"), "demo")]
    request = HttpSmsc(ACCOUNT).request(messages)
    assert request.url == "http://carrier.test/smsc/messages"
    assert request.headers["authorization"] == "Bearer key"
    body = json.loads(request.body)
    assert body["callback_url"] == "http://us.test/receipts/x/secret"
    words = messages[0].content.text
    assert body["messages"] == [
        {"reference": A, "to": "+48500000000", "from": "Salon", "text": words},
        {"reference": B, "to": "+48500000001", "from": "Salon", "text": words},
        {"reference": C, "to": "+48500000009", "from": "Roma", "text": "Own words"},
    ]


@given(st.text(min_size=1, max_size=50), st.text(min_size=1, max_size=20))
def test_any_text_and_address_survive_the_wire(text: str, to: str) -> None:
    request = HttpSmsc(ACCOUNT).request([Outbound(A, to, SmsContent(text=text), "demo")])
    (message,) = json.loads(request.body)["messages"]
    assert (message["text"], message["to"]) == (text, to)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([accepted(C, "z"), accepted(A, "x"), accepted(B, "y")], [Accepted("x"), Accepted("y"), Accepted("z")]),
        ([accepted(A, "x")], [Accepted("x"), Ambiguous, Ambiguous]),
        ([accepted("d" * 32, "q")], [Ambiguous, Ambiguous, Ambiguous]),
        ([accepted(A, "x"), accepted(A, "again"), accepted(B, 7)], [Accepted("x"), Accepted("7"), Ambiguous]),
        ([accepted(A, None), accepted(B, "\0"), accepted(C, "i" * 129)], [Accepted(""), Accepted(""), Accepted("")]),
        (
            [
                {"reference": A, "status": "throttled", "retry_after": 2},
                {"reference": B, "status": "throttled"},
                {"reference": C, "status": "throttled", "retry_after": "x"},
            ],
            [Throttled("throttled", timedelta(seconds=2)), Throttled("throttled"), Throttled("throttled")],
        ),
        (
            [{"reference": A, "status": "failed"}, {"reference": B, "status": "odd"}, {"reference": C}],
            [Transient, Ambiguous, Ambiguous],
        ),
        (
            [None, 7, {"reference": 7}, {"reference": A, "status": "rejected", "code": "\ud800"}],
            [Permanent("rejected"), Ambiguous, Ambiguous],
        ),
    ],
    ids=["shuffled", "missing", "unknown", "twice", "bad ids", "throttled", "odd", "junk"],
)
def test_results_are_matched_by_reference(results: list[JsonValue], expected: list[Outcome | type]) -> None:
    body = json.dumps({"results": results}).encode()
    outcomes = HttpSmsc(ACCOUNT).outcomes(HttpResponse(200, {}, body), REFERENCES)
    for outcome, wanted in zip(outcomes, expected, strict=True):
        assert outcome == wanted or type(outcome) is wanted


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["results", "reference", "status", "id", "reports", "at"]), inner)
        ),
        max_leaves=12,
    )
)
def test_no_answer_and_no_callback_breaks_it(value: JsonValue) -> None:
    body = json.dumps(value).encode()
    assert len(HttpSmsc(ACCOUNT).outcomes(HttpResponse(200, {}, body), REFERENCES)) == 3
    try:
        HttpSmsc(ACCOUNT).receipts(HttpRequest("POST", body=body))
    except ValueError as error:
        assert "not a list" in str(error)


def test_it_reads_reports_and_passes_over_those_it_cannot_read() -> None:
    at = "2026-11-22T12:00:00.250Z"
    good: list[JsonValue] = [
        {"id": "1", "status": "delivered", "code": "000", "at": at},
        {"id": "2", "status": "undelivered", "at": "2026-11-22T12:00:00"},
        {"id": "3", "status": "on_phone", "code": 4, "at": at},
        {"id": "4", "status": "rejected", "code": "x" * 65, "at": at},
    ]
    bad: list[JsonValue] = [
        {"id": "", "status": "delivered", "at": at},
        {"id": "5", "status": "odd", "at": at},
        {"id": "6", "status": "delivered", "at": "noon"},
        {"id": "7", "status": "delivered"},
        None,
    ]
    reports = HttpSmsc(ACCOUNT).receipts(HttpRequest("POST", body=json.dumps({"reports": good + bad}).encode()))
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    quarter = noon.replace(microsecond=250_000)
    assert reports.understood == [
        Report("1", DeliveryState.DELIVERED, "000", quarter),
        Report("2", DeliveryState.NOT_DELIVERED, "", noon),
        Report("3", DeliveryState.ON_PHONE, "4", quarter),
        Report("4", DeliveryState.CARRIER_REJECTED, "", quarter),
    ]
    assert reports.ignored == len(bad)


@pytest.mark.parametrize(
    ("status", "results", "answers"),
    [
        (200, [{"reference": A, "status": "accepted", "id": "7"}], [Accepted("7"), Ambiguous]),
        (200, [{"reference": A, "status": "unknown"}, {"reference": B, "status": "unknown"}], [NOT_KNOWN, NOT_KNOWN]),
        (200, [{"reference": A, "status": "accepted"}, {"reference": B, "status": "odd"}], [Ambiguous, Ambiguous]),
        (500, [{"reference": A, "status": "unknown"}], [Ambiguous, Ambiguous]),
        (404, [{"reference": A, "status": "unknown"}], [Ambiguous, Ambiguous]),
        (200, None, [Ambiguous, Ambiguous]),
    ],
)
def test_only_a_clear_word_about_a_reference_counts(status: int, results: object, answers: list[object]) -> None:
    response = HttpResponse(status, {}, json.dumps({"results": results}).encode())
    given = HttpSmsc(ACCOUNT).answers(response, [A, B])
    assert [type(each) if isinstance(each, Ambiguous) else each for each in given] == answers
