"""Altegio: request -> draft or problem, problem -> bytes, as the document and the vendor's clients have them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from libs.contracts.audience import ClientIds
from libs.contracts.content import SmsContent
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.wire import HttpRequest, Problem
from services.gateway.dialects.altegio import Altegio, SmsToClients
from services.gateway.translation import Accepted, Draft

NOW = datetime(2026, 11, 22, tzinfo=UTC)
CALL, API = SmsToClients(), Altegio()
IDS = "client_ids"


def request(body: Any, content_type: str | None = "application/json") -> HttpRequest:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpRequest("POST", "/", {"content-type": content_type} if content_type else {}, body=data)


def refusal(body: Any, content_type: str | None = "application/json") -> tuple[int, Any]:
    with pytest.raises(Problem) as caught:
        CALL.drafts(request(body, content_type), NOW)
    answer = API.refuse(caught.value)
    return answer.status, json.loads(answer.body)["meta"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [([3, 1, 2], (3, 1, 2)), ([1, 2, 1, 2, 3], (1, 2, 3)), ([0], (0,)), ([2**63 - 1], (2**63 - 1,)), ([1.0, 1], (1,))],
)
def test_ids_each_once_in_their_order(given: list[Any], kept: tuple[int, ...]) -> None:
    (draft,) = CALL.drafts(request({IDS: given, "text": "hi"}), NOW)
    assert draft.to == ClientIds(client_ids=kept)


def test_one_client_is_urgent_and_more_are_a_campaign() -> None:
    (one,) = CALL.drafts(request({IDS: [1, 1], "text": "hi"}), NOW)
    (many,) = CALL.drafts(request({IDS: [1, 2], "text": "hi"}), NOW)
    content = SmsContent(text="hi")
    assert one == Draft(Channel.SMS, ClientIds(client_ids=(1,)), content, Lane.URGENT, MessageClass.TRANSACTIONAL)
    assert many == Draft(Channel.SMS, ClientIds(client_ids=(1, 2)), content, Lane.BULK, MessageClass.BULK)


@pytest.mark.parametrize("text", ["x", "x" * 1600, "ваш визит", "😀", " a ", "a\nb", "\x1b{"])
def test_texts_that_are_sent_as_they_are(text: str) -> None:
    (draft,) = CALL.drafts(request({IDS: [1], "text": text}), NOW)
    assert draft.content == SmsContent(text=text)


@pytest.mark.parametrize(
    "content_type", [None, "", "application/json; charset=utf-8", "application/vnd.api.v2+json", "APPLICATION/JSON"]
)
def test_content_types_of_real_clients(content_type: str | None) -> None:
    assert CALL.drafts(request({IDS: [1], "text": "hi"}, content_type), NOW)


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (None, "is missing"),
        ([], "is empty"),
        ("1", "must be an array"),
        ({"0": 1}, "must be an array"),
        (1, "must be an array"),
        ([True], "whole numbers only. Look at entry 0"),
        ([1, "2"], "whole numbers only. Look at entry 1"),
        ([1.5], "whole numbers"),
        ([None], "whole numbers"),
        ([[1]], "whole numbers"),
        ([2**70], "ids from 0"),
        ([2**63], "ids from 0"),
        ([-1], "ids from 0"),
        ([float(2**60)], "whole numbers"),
        (list(range(100_001)), "lists 100001 entries. Send at most 100000"),
        ([1] * 100_001, "lists 100001 entries"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_ids_that_are_refused(ids: Any, said: str) -> None:
    status, meta = refusal({IDS: ids, "text": "hi"})
    assert (status, meta["message"]) == (422, "An error has occurred.")
    (sentence,) = meta["errors"]
    assert sentence.startswith("client_ids ")
    assert said in sentence


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is missing"),
        (5, "must be a string"),
        ([], "must be a string"),
        ("", "is blank"),
        (" \n\u2003", "is blank"),
        ("x" * 1601, "1601 characters"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_texts_that_are_refused(text: Any, said: str) -> None:
    status, meta = refusal({IDS: [1], "text": text})
    assert status == 422
    (sentence,) = meta["errors"]
    assert sentence.startswith("text ")
    assert said in sentence


def test_everything_that_is_wrong_is_said_at_once() -> None:
    _, meta = refusal({})
    assert [sentence.split()[0] for sentence in meta["errors"]] == ["client_ids", "text"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"client_ids=1",
        b"[1]",
        b"null",
        b'{"client_ids":[1],"text":"a\\u0000b"}',
        b'{"client_ids":[1],"text":"\\ud800"}',
        b'{"client_ids":[NaN],"text":"x"}',
        b'{"client_ids":[1],"client_ids":[2],"text":"x"}',
        b"[" * 100_000,
        b'{"client_ids":[1],"text":"\xff"}',
        b'{"client_ids":[' + b"9" * 9000 + b'],"text":"x"}',
        b'{"client_ids":[1e999],"text":"x"}',
    ],
    ids=lambda body: body[:30].decode("latin-1"),
)
def test_bodies_that_are_no_object(body: bytes) -> None:
    status, meta = refusal(body)
    assert (status, meta["message"], len(meta["errors"])) == (422, "An error has occurred.", 1)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_other_content_types_are_415(content_type: str) -> None:
    status, meta = refusal({IDS: [1], "text": "hi"}, content_type)
    assert status == 415
    assert "application/json" in meta["message"]


def test_success() -> None:
    answer = CALL.answer(Accepted((), (), "0" * 32))
    assert answer.status == 201
    assert answer.body == b'{"success":true,"data":null,"meta":{"message":"Accepted"}}'
    assert answer.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize(
    ("status", "sent", "meta"),
    [
        (401, 401, b'{"message":"Authentication needed."}'),
        (402, 402, b'{"message":"Insufficient funds on the account. Refill your balance."}'),
        (403, 403, b'{"message":"Access denied."}'),
        (404, 404, b"{}"),
        (400, 422, b'{"message":"An error has occurred.","errors":["Detail."]}'),
        (422, 422, b'{"message":"An error has occurred.","errors":["Detail."]}'),
        (408, 408, b'{"message":"Detail."}'),
        (409, 409, b'{"message":"Detail."}'),
        (413, 413, b'{"message":"Detail."}'),
        (415, 415, b'{"message":"Detail."}'),
        (429, 429, b'{"message":"Detail."}'),
        (500, 500, b'{"message":"Detail."}'),
        (503, 503, b'{"message":"Service unavailable."}'),
    ],
)
def test_problems_in_the_envelope(status: int, sent: int, meta: bytes) -> None:
    answer = API.refuse(Problem(status, "code", "Detail.", headers={"Retry-After": "7"}))
    assert (answer.status, answer.body) == (sent, b'{"success":false,"data":null,"meta":' + meta + b"}")
    assert answer.headers["Retry-After"] == "7"
