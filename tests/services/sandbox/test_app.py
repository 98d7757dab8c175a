"""The sandbox over HTTP."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from libs.settings import load
from services.sandbox.app import wire
from services.sandbox.reports import HttpReporting, Reports
from services.sandbox.repository import Inbox
from services.sandbox.settings import SandboxSettings

KEY = {"Authorization": "Bearer carrier-key"}
Client = TestClient[web.Request, web.Application]


class Caller:
    """Whoever gets the reports."""

    def __init__(self) -> None:
        self.calls: list[list[dict[str, Any]]] = []
        self.answers: list[int] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.calls.append((await request.json())["reports"])
        return web.Response(status=self.answers.pop(0) if self.answers else 200)


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    caller = Caller()
    app = web.Application()
    app.router.add_post("/reports", caller.take)
    async with TestServer(app) as server:
        caller.url = str(server.make_url("/reports"))
        yield caller


@pytest.fixture
async def sandbox() -> AsyncIterator[Client]:
    environ = {"SANDBOX_CARRIER_KEY": "carrier-key", "SANDBOX_REPORT_DELAY": "0.01"}
    reporting = HttpReporting()
    reports = Reports(reporting.deliver)
    running = asyncio.create_task(reports.run())
    inbox = Inbox(capacity=1000, honour_keys=True, boot="b")
    async with TestClient(TestServer(wire(load(SandboxSettings, environ), inbox, reports))) as client:
        yield client
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await reporting.close()
    inbox.close()


def message(number: int = 1, **changes: object) -> dict[str, object]:
    given = {"reference": f"{number:032x}", "to": f"+4850{number:07d}", "from": "Salon", "text": "Hello"}
    return {**given, **changes}


async def submit(sandbox: Client, url: str, *messages: object, **more: Any) -> tuple[int, Any]:
    body = json.dumps({"callback_url": url, "messages": messages})
    async with sandbox.post("/smsc/messages", data=body, **{"headers": KEY, **more}) as response:
        return response.status, await response.json(content_type=None)


async def inbox(sandbox: Client, query: str = "") -> tuple[int, Any]:
    async with sandbox.get(f"/messages{query}") as response:
        return response.status, await response.json(content_type=None)


async def reported(caller: Caller, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(10):
        while sum(len(call) for call in caller.calls) < count:
            await asyncio.sleep(0.01)
    return [report for call in caller.calls for report in call]


async def test_a_message_arrives_and_is_reported_delivered(sandbox: Client, caller: Caller) -> None:
    status, answer = await submit(sandbox, caller.url, message())
    assert status == 200
    (result,) = answer["results"]
    assert result == {"reference": f"{1:032x}", "id": result["id"], "status": "accepted"}
    (shown,) = (await inbox(sandbox))[1]["messages"]
    assert (shown["to"], shown["from"], shown["text"]) == ("48500000001", "Salon", "Hello")
    assert (shown["attempt_key"], shown["provider_message_id"]) == (f"{1:032x}", result["id"])
    (report,) = await reported(caller, 1)
    assert (report["id"], report["status"], report["code"]) == (result["id"], "delivered", "000")
    assert report["at"].endswith("+00:00")


async def test_bad_messages_are_rejected_alone_and_in_order(sandbox: Client, caller: Caller) -> None:
    bad = [message(1, to="123"), message(2), message(3, text=""), message(4, text="\ud800"), message(5, to=None)]
    _, answer = await submit(sandbox, caller.url, *bad, message(6, **{"from": "x" * 33}))
    assert [result.get("code", result["status"]) for result in answer["results"]] == [
        "invalid_number",
        "accepted",
        "invalid_text",
        "invalid_text",
        "invalid_number",
        "invalid_sender",
    ]
    assert (await inbox(sandbox))[1]["total"] == 1


async def test_a_reference_seen_before_is_answered_the_same_and_shown_once(sandbox: Client, caller: Caller) -> None:
    first = await submit(sandbox, caller.url, message())
    assert await submit(sandbox, caller.url, message()) == first
    assert (await inbox(sandbox))[1]["total"] == 1


async def test_reports_are_repeated_until_somebody_takes_them(
    sandbox: Client, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.sandbox.reports.LONGEST_PAUSE", 0.01)
    caller.answers = [503, 500]
    await submit(sandbox, caller.url, *[message(number) for number in range(1, 4)])
    await reported(caller, 9)
    assert [len(call) for call in caller.calls] == [3, 3, 3]
    assert len({json.dumps([each["id"] for each in call]) for call in caller.calls}) == 1


async def test_reports_go_out_by_the_hundred(sandbox: Client, caller: Caller) -> None:
    for start in range(0, 1000, 100):
        await submit(sandbox, caller.url, *[message(start + number) for number in range(100)])
    reports = await reported(caller, 1000)
    assert len({report["id"] for report in reports}) == 1000
    assert len(caller.calls) <= 10


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "carrier-key"}])
async def test_a_wrong_key_is_refused(sandbox: Client, caller: Caller, headers: dict[str, str]) -> None:
    status, _ = await submit(sandbox, caller.url, message(), headers=headers)
    assert status == 401
    assert (await inbox(sandbox))[1]["total"] == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"[" * 100_000,
        b'{"callback_url": "ftp://x/", "messages": []}',
        b'{"callback_url": "http://x/", "messages": []}',
        b'{"callback_url": "http://x/", "messages": [7]}',
        json.dumps({"callback_url": "http://x/", "messages": [message(n) for n in range(101)]}).encode(),
        json.dumps({"callback_url": "http://x/", "messages": [message(reference="Z" * 32)]}).encode(),
    ],
    ids=range(10),
)
async def test_a_request_of_the_wrong_shape_is_refused(sandbox: Client, body: bytes) -> None:
    async with sandbox.post("/smsc/messages", data=body, headers=KEY) as response:
        assert response.status == 400
        assert response.content_type == "application/problem+json"


async def test_a_huge_request_is_refused(sandbox: Client) -> None:
    async with sandbox.post("/smsc/messages", data=io.BytesIO(b"x" * 1_100_000), headers=KEY) as response:
        assert response.status == 413


async def test_the_inbox_is_found_paged_and_emptied(sandbox: Client, caller: Caller) -> None:
    await submit(sandbox, caller.url, *[message(number, text=f"No {number}") for number in range(1, 6)])
    assert [each["text"] for each in (await inbox(sandbox, "?limit=2"))[1]["messages"]] == ["No 5", "No 4"]
    last = (await inbox(sandbox, "?limit=2"))[1]["messages"][-1]["id"]
    assert [each["text"] for each in (await inbox(sandbox, f"?limit=2&before={last}"))[1]["messages"]] == [
        "No 3",
        "No 2",
    ]
    for to in ("48500000003", "+48500000003", "%2B48%20500%20000%20003"):
        assert [each["text"] for each in (await inbox(sandbox, f"?to={to}&channel=sms"))[1]["messages"]] == ["No 3"]
    since = (await inbox(sandbox))[1]["messages"][0]["received_at"]
    assert (await inbox(sandbox, f"?since={since}&contains=No+4"))[1]["total"] == 1
    async with sandbox.delete("/messages") as response:
        assert response.status == 204
    assert (await inbox(sandbox))[1] == {"total": 0, "dropped": 0, "messages": []}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=5001",
        "limit=x",
        "limit=-1",
        "limit=%D9%A3",
        "before=x",
        "before=99999999999999999999",
        "since=yesterday",
        "since=",
        "contains=",
        "contains=" + "x" * 257,
        "too=1",
        "to=%00",
    ],
)
async def test_a_bad_parameter_is_a_problem(sandbox: Client, query: str) -> None:
    async with sandbox.get(f"/messages?{query}") as response:
        assert response.status == 400
        assert response.content_type == "application/problem+json"


@pytest.mark.parametrize("query", ["to=%ED%A0%80", "contains=%FF", "channel=%C0%AF", "to=a'b", "contains='%22%25"])
async def test_odd_characters_find_nothing_and_break_nothing(sandbox: Client, query: str) -> None:
    status, answer = await inbox(sandbox, f"?{query}")
    assert status in (200, 400)
    assert status == 400 or answer["total"] == 0


async def test_there_is_a_page_and_health(sandbox: Client) -> None:
    async with sandbox.get("/") as response:
        assert "GET    /messages" in await response.text()
    async with sandbox.get("/health/ready") as response:
        assert response.status == 200
