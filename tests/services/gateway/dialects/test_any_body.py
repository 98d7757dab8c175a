"""Whatever the body: drafts or a problem that its API can say, never anything else."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.audience import ClientIds
from libs.contracts.commands import ControlAction
from libs.contracts.ids import new_notification_id
from libs.wire import HttpRequest, Problem
from services.gateway.dialects import DIALECTS, dialect_of
from services.gateway.dialects.native.controlling import Control, Resend
from services.gateway.translation import Dialect, SendCall

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SENDS = [(dialect, call) for dialect in DIALECTS.values() for call in dialect.sends]
ANY_SEND = pytest.mark.parametrize(("dialect", "call"), SENDS, ids=lambda part: part.name)

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(),
    st.sampled_from(["sms", "viber", "webhook", "+48501234567", "urgent", "otp", "https://example.com/", "text/plain"]),
    st.sampled_from(["2027-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2030-03-31T02:30:00", "Europe/Warsaw"]),
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4))
NAMES = st.sampled_from(
    [
        *("client_ids", "text", "channel", "to", "content", "at", "lane", "class", "ordering_key", "expires_at"),
        *("addresses", "zone", "fallback", "after", "callback", "url", "data", "body", "content_type", "sender"),
        *("image_url", "button_text", "button_url", "states", "deliveries"),
    ]
)
OBJECTS = st.recursive(
    VALUES, lambda inner: st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=6), max_leaves=20
)


def check(dialect: Dialect, call: SendCall, body: bytes, headers: dict[str, str]) -> None:
    try:
        drafts = call.drafts(HttpRequest("POST", call.paths[0], headers, body=body), NOW)
    except Problem as problem:
        answer = dialect.refuse(problem)
        assert answer.status in (400, 415, 422)
        json.loads(answer.body)
        return
    for draft in drafts:
        assert draft.content.kind == draft.channel
        assert all(step.content.kind == step.channel for step in draft.fallback)
        if isinstance(draft.to, ClientIds):
            assert len(set(draft.to.client_ids)) == len(draft.to.client_ids)


@ANY_SEND
@given(value=OBJECTS)
def test_any_json(dialect: Dialect, call: SendCall, value: Any) -> None:
    check(dialect, call, json.dumps(value).encode(), {"content-type": "application/json"})


# What is right by itself, so that wrong values meet right ones.
RIGHT: dict[str, Any] = {
    "channel": "viber",
    "to": {"addresses": ["+48501234567"]},
    "content": {"text": "hi"},
    "at": "2030-03-31T02:30:00",
    "zone": "Europe/Warsaw",
    "fallback": [{"channel": "sms", "after": 5, "content": {"text": "hi"}}],
    "callback": {"url": "https://example.com/"},
}


@given(field=st.sampled_from(list(RIGHT)), value=VALUES)
def test_any_field(field: str, value: Any) -> None:
    native = DIALECTS["native"]
    check(native, native.sends[0], json.dumps(RIGHT | {field: value}).encode(), {"content-type": "application/json"})


@given(value=OBJECTS)
def test_any_order(value: Any) -> None:
    about = new_notification_id(NOW)
    segments, request = {"id": str(about)}, HttpRequest("POST", "/", {}, body=json.dumps(value).encode())
    for action in ControlAction:
        try:
            order = Control(action).order(request, segments, NOW)
        except Problem as problem:
            assert problem.status in (400, 422)
        else:
            assert (order.start is not None) == (action is ControlAction.RESCHEDULE)
    try:
        assert Resend().petition(request, segments).about == about
    except Problem as problem:
        assert problem.status in (400, 422)


@ANY_SEND
@given(body=st.binary(max_size=200), content_type=st.text(max_size=20))
def test_any_bytes(dialect: Dialect, call: SendCall, body: bytes, content_type: str) -> None:
    check(dialect, call, body, {"content-type": content_type})


@ANY_SEND
@given(authorization=st.text(max_size=60) | st.from_regex(r"(?i)(bearer|user) [!-~]*(, *(user|bearer) [!-~]*)?"))
def test_any_authorization(dialect: Dialect, call: SendCall, authorization: str) -> None:
    segments = dict.fromkeys(("location_id", "id"), "1")
    try:
        demand = call.demand(HttpRequest("POST", "/", {"authorization": authorization}), segments)
    except Problem as problem:
        assert problem.status == 401
        return
    assert demand.tokens


@given(path=st.text().map("/".__add__))
def test_any_path_has_a_form_to_be_answered_in(path: str) -> None:
    answer = dialect_of(path).refuse(Problem(404, "not_found", "Nothing here."))
    assert answer.status == 404


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 408, 409, 411, 413, 415, 422, 429, 500, 503])
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_every_problem_has_a_form_in_every_api(dialect: Dialect, status: int) -> None:
    answer = dialect.refuse(Problem(status, "code", "Detail.", headers={"Retry-After": "1"}))
    assert answer.status in {status, 422}
    assert answer.headers["Retry-After"] == "1"
    assert isinstance(json.loads(answer.body), dict)
