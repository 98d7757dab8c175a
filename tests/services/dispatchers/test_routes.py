import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from libs.contracts.envelope import PLATFORM
from libs.contracts.events import ReceiptReceived
from libs.contracts.states import DeliveryState
from libs.contracts.topics import RECEIPT_RECEIVED
from libs.web import application
from services.dispatchers.account import Account
from services.dispatchers.routes import ReceiptRoutes
from services.dispatchers.sms.http_smsc import HttpSmsc
from tests.services.dispatchers.making import NOON, RecordingBus

SECRET = "s" * 32
Client = TestClient[web.Request, web.Application]


@pytest.fixture
def bus() -> RecordingBus:
    return RecordingBus()


@pytest.fixture
async def client(bus: RecordingBus) -> AsyncIterator[Client]:
    provider = HttpSmsc(Account("http://carrier.test", SecretStr("key"), "Salon", SecretStr("http://us.test")))
    app = application()
    ReceiptRoutes({provider.name: provider}, SecretStr(SECRET), bus, lambda: NOON).add_to(app)
    async with TestClient(TestServer(app)) as client:
        yield client


def body(count: int = 2, *, status: str = "delivered") -> bytes:
    at = "2026-11-22T11:59:00Z"
    return json.dumps(
        {"reports": [{"id": f"m{number}", "status": status, "code": "000", "at": at} for number in range(count)]}
    ).encode()


def events(bus: RecordingBus) -> list[ReceiptReceived]:
    assert {one.topic for one in bus.published} <= {RECEIPT_RECEIVED}
    return [one.message for one in bus.published if isinstance(one.message, ReceiptReceived)]


async def post(client: Client, data: bytes, path: str = f"/receipts/http_smsc/{SECRET}") -> tuple[int, str]:
    async with client.post(path, data=data) as response:
        return response.status, await response.text()


async def test_reports_are_published_before_the_answer(client: Client, bus: RecordingBus) -> None:
    assert (await post(client, body()))[0] == 200
    (event,) = events(bus)
    assert event.tenant == PLATFORM
    assert event.provider_message_ids == ("m0", "m1")
    assert event.states == (DeliveryState.DELIVERED,) * 2
    assert event.received_at == NOON


async def test_a_repeated_callback_makes_the_same_events_on_the_same_partition(
    client: Client, bus: RecordingBus
) -> None:
    for _ in range(2):
        await post(client, body(700))
    await post(client, body(701))
    ids = [event.event_id for event in events(bus)]
    assert ids[:2] == ids[2:4]
    assert not set(ids[:2]) & set(ids[4:])
    assert len({event.key for event in events(bus)[:2]}) == 2
    assert [len(event.states) for event in events(bus)[:2]] == [500, 200]


async def test_without_the_bus_the_carrier_is_asked_to_repeat(client: Client, bus: RecordingBus) -> None:
    bus.is_away = True
    async with client.post(f"/receipts/http_smsc/{SECRET}", data=body()) as response:
        assert response.status == 503
        assert response.headers["Retry-After"]


@pytest.mark.parametrize(
    "path",
    [
        "/receipts/http_smsc/wrong",
        f"/receipts/other/{SECRET}",
        "/receipts/http_smsc/%D0%B6",
        f"/receipts/http_smsc/{SECRET}x",
        "/receipts/http_smsc",
    ],
)
async def test_a_wrong_address_is_no_address(client: Client, bus: RecordingBus, path: str) -> None:
    status, text = await post(client, body(), path)
    assert status == 404
    assert SECRET not in text
    assert bus.published == []


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'{"reports": {}}', b"[" * 9999, body(1001)], ids=range(6))
async def test_a_body_that_is_no_callback_is_refused(client: Client, bus: RecordingBus, data: bytes) -> None:
    assert (await post(client, data))[0] == 400
    assert bus.published == []


async def test_a_huge_body_is_refused(client: Client) -> None:
    assert (await post(client, b"x" * 600_000))[0] == 413


async def test_reports_nobody_understands_are_taken_and_forgotten(client: Client, bus: RecordingBus) -> None:
    assert (await post(client, body(status="odd")))[0] == 200
    assert bus.published == []
