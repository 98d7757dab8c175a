"""The simulated Viber partner, spoken to as our provider speaks to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from libs.contracts.content import ViberContent
from libs.contracts.outcomes import Accepted, Ambiguous, Outcome, OutOfFunds, Permanent, Throttled, Transient
from libs.contracts.states import DeliveryState
from libs.settings import load
from libs.wire import HttpRequest, HttpResponse
from services.dispatchers.account import Account
from services.dispatchers.provider import Outbound
from services.dispatchers.viber.http_viber import HttpViber
from services.sandbox import turns
from services.sandbox.app import wire
from services.sandbox.magic import VIBER
from services.sandbox.reports import Reports
from services.sandbox.repository import Inbox
from services.sandbox.settings import SandboxSettings

NAMES = {behaviour.name: f"+{address}" for address, behaviour in VIBER.items()}
ACCOUNT = Account("http://carrier.test", SecretStr("carrier-key"), "Salon", SecretStr("http://us.test/receipts"))
CONTENT = ViberContent(text="Привет", button_text="Book", button_url="https://example.com/")


class Partner:
    """The sandbox with the reports' time in the test's hand: none passes unless it is told to."""

    def __init__(self, client: TestClient[Any, Any], reports: Reports, calls: list[bytes]) -> None:
        self._client = client
        self._reports = reports
        self._calls = calls
        self._provider = HttpViber(ACCOUNT)

    async def send(self, *messages: tuple[int, str]) -> Sequence[Outcome]:
        """Submit (key, phone) and read the answer."""
        given = [Outbound(f"{key:032x}", phone, CONTENT, "demo") for key, phone in messages]
        request = self._provider.request(given)
        headers = {"Authorization": request.headers["authorization"]}
        async with self._client.post("/viber/messages", data=request.body, headers=headers) as response:
            answer = HttpResponse(response.status, {}, await response.read())
        return self._provider.outcomes(answer, [message.reference for message in given])

    async def inbox(self) -> list[dict[str, Any]]:
        async with self._client.get("/messages?channel=viber") as response:
            messages: list[dict[str, Any]] = (await response.json())["messages"]
            return messages

    async def told(self, count: int) -> list[DeliveryState]:
        """The states that our provider reads from the first `count` events."""
        async with asyncio.timeout(10):
            while sum(len(json.loads(body)["events"]) for body in self._calls) < count:
                await asyncio.sleep(0.005)
        reports = [self._provider.receipts(HttpRequest("POST", body=body)) for body in self._calls]
        assert all(report.ignored == 0 for report in reports)
        return [report.state for each in reports for report in each.understood]


@pytest.fixture
async def partner(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Partner]:
    monkeypatch.setattr(turns.Turn, "patience", 0.01)
    calls: list[bytes] = []

    async def take(url: str, body: bytes) -> bool:
        calls.append(body)
        return True

    loop = asyncio.get_running_loop()
    reports = Reports(take, clock=lambda: loop.time() * 1000)  # a second is a millisecond
    inbox = Inbox(capacity=1000, honour_keys=True, boot="b")
    running = asyncio.create_task(reports.run())
    app = wire(load(SandboxSettings, {"SANDBOX_CARRIER_KEY": "carrier-key"}), inbox, reports)
    async with TestClient[web.Request, web.Application](TestServer(app)) as client:
        yield Partner(client, reports, calls)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    inbox.close()


async def test_a_message_arrives_and_is_told_delivered(partner: Partner) -> None:
    assert [type(outcome) for outcome in await partner.send((1, "+48500000001"))] == [Accepted]
    (shown,) = await partner.inbox()
    assert (shown["channel"], shown["to"], shown["from"], shown["text"]) == ("viber", "48500000001", "Salon", "Привет")
    assert shown["data"] == {"button": {"text": "Book", "url": "https://example.com/"}}
    assert await partner.told(1) == [DeliveryState.DELIVERED]


async def test_a_key_seen_before_is_answered_the_same_and_shown_once(partner: Partner) -> None:
    assert await partner.send((1, "+48500000001")) == await partner.send((1, "+48500000001"))
    assert len(await partner.inbox()) == 1


D, P, U, R = (
    DeliveryState.DELIVERED,
    DeliveryState.ON_PHONE,
    DeliveryState.NOT_DELIVERED,
    DeliveryState.CARRIER_REJECTED,
)


@pytest.mark.parametrize(
    ("name", "told", "states"),
    [
        ("viber_delivered", [Accepted], [D]),
        ("viber_seen", [Accepted], [P, D, D]),
        ("viber_never_reported", [Accepted], []),
        ("viber_not_a_user", [Permanent("not_a_viber_user")] * 2, []),
        ("viber_undelivered", [Accepted], [U]),
        ("viber_blocked_later", [Accepted], [R]),
        ("viber_no_funds", [OutOfFunds] * 2, []),
        ("viber_busy", [Throttled, Accepted], [D]),
        ("viber_times_out", [Ambiguous, Accepted], [D]),
        ("viber_flaky", [Transient("try_again")] * 2 + [Accepted], [D]),
        ("viber_corrected", [Accepted], [U, D]),
    ],
)
async def test_what_a_sender_understands(
    partner: Partner, name: str, told: list[Outcome | type], states: list[DeliveryState]
) -> None:
    for wanted in told:
        (outcome,) = await partner.send((1, NAMES[name]))
        assert outcome == wanted or type(outcome) is wanted
    assert await partner.told(len(states)) == states


def test_every_magic_number_is_tried() -> None:
    (mark,) = test_what_a_sender_understands.pytestmark  # type: ignore[attr-defined]
    assert {case[0] for case in mark.args[1]} == set(NAMES)


async def test_all_of_them_together_harm_no_other(partner: Partner) -> None:
    numbers = [*NAMES.values(), "+48500000001", "+123"]
    outcomes = await partner.send(*enumerate(numbers))
    assert isinstance(outcomes[-2], Accepted)
    assert outcomes[-1] == Permanent("bad_phone")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sender": "x" * 33}, "bad_sender"),
        ({"text": ""}, "bad_text"),
        ({"text": "x" * 1001}, "bad_text"),
        ({"phone": 7}, "bad_phone"),
        ({"image": 7}, "bad_image"),
        ({"button": {"text": "Book"}}, "bad_button"),
        ({"button": "Book"}, "bad_button"),
    ],
)
async def test_a_bad_message_is_refused_alone(partner: Partner, change: dict[str, object], reason: str) -> None:
    good = {"key": "a" * 32, "phone": "+48500000001", "sender": "Salon", "text": "Hello"}
    body = json.dumps({"report_to": "http://us.test/x", "messages": [good | change, good | {"key": "b" * 32}]})
    headers = {"Authorization": "Bearer carrier-key"}
    async with partner._client.post("/viber/messages", data=body, headers=headers) as response:
        refused, taken = (await response.json())["results"]
    assert refused == {"key": "a" * 32, "state": "refused", "reason": reason}
    assert taken["state"] == "queued"


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, b"{}", 401),
        ({"Authorization": "Bearer wrong"}, b"{}", 401),
        ({"Authorization": "Bearer carrier-key"}, b"[" * 100_000, 400),
        ({"Authorization": "Bearer carrier-key"}, b'{"report_to": "x", "messages": []}', 400),
        ({"Authorization": "Bearer carrier-key"}, b'{"report_to": "http://x/", "messages": [{"key": "K"}]}', 400),
    ],
)
async def test_what_is_no_submission_is_refused(
    partner: Partner, headers: dict[str, str], body: bytes, status: int
) -> None:
    async with partner._client.post("/viber/messages", data=body, headers=headers) as response:
        assert response.status == status
