"""Whatever the body: drafts or a problem that its API can say, never anything else."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.audience import ClientIds
from libs.wire import HttpRequest, Problem
from services.gateway.dialects import DIALECTS, dialect_of
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
    st.sampled_from(["sms", "+48501234567", "urgent", "otp", "2027-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"]),
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4))
NAMES = st.sampled_from(
    ["client_ids", "text", "channel", "to", "content", "at", "lane", "class", "ordering_key", "expires_at", "addresses"]
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
        assert draft.content.text.strip()
        if isinstance(draft.to, ClientIds):
            assert len(set(draft.to.client_ids)) == len(draft.to.client_ids)


@ANY_SEND
@given(value=OBJECTS)
def test_any_json(dialect: Dialect, call: SendCall, value: Any) -> None:
    check(dialect, call, json.dumps(value).encode(), {"content-type": "application/json"})


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
