"""The catcher of webhooks."""

import asyncio
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from libs.settings import load
from libs.web import application
from services.sandbox.app import wire
from services.sandbox.hooks import Hooks
from services.sandbox.reports import Reports
from services.sandbox.repository import Inbox
from services.sandbox.settings import SandboxSettings

Client = TestClient[web.Request, web.Application]


async def deliver(url: str, body: bytes) -> bool:
    raise AssertionError("nothing is reported")


@pytest.fixture
async def sandbox() -> AsyncIterator[Client]:
    inbox = Inbox(capacity=1000, honour_keys=True, boot="b")
    settings = load(SandboxSettings, {"SANDBOX_CARRIER_KEY": "carrier-key"})
    async with TestClient(TestServer(wire(settings, inbox, Reports(deliver)))) as client:
        yield client
    inbox.close()


async def call(
    sandbox: Client, path: str, body: bytes = b"{}", *, webhook_id: str = "a" * 32, method: str = "POST"
) -> int:
    headers = {"webhook-id": webhook_id, "Content-Type": "application/json"}
    url = URL(f"http://{sandbox.host}:{sandbox.port}{path}", encoded=True)
    async with sandbox.session.request(
        method, url, data=io.BytesIO(body), headers=headers, allow_redirects=False
    ) as response:
        return response.status


async def caught(sandbox: Client, **query: str) -> list[dict[str, Any]]:
    async with sandbox.get("/messages", params=query) as response:
        messages: list[dict[str, Any]] = (await response.json())["messages"]
        return messages


async def test_it_shows_what_came(sandbox: Client) -> None:
    path = "/hooks/a%2fb//c?d=%20&e=1"
    assert await call(sandbox, path, '{"имя": ["Анна", 1]}'.encode()) == 200
    url = f"http://{sandbox.host}:{sandbox.port}{path}"
    (shown,) = await caught(sandbox, channel="webhook", to=url)
    assert (shown["to"], shown["text"], shown["data"]) == (url, '{"имя": ["Анна", 1]}', {"имя": ["Анна", 1]})
    assert shown["headers"]["webhook-id"] == shown["attempt_key"] == "a" * 32
    assert shown["headers"]["content-type"] == "application/json"
    assert await caught(sandbox, contains="Анна") == [shown]


async def test_each_attempt_is_shown(sandbox: Client) -> None:
    for _ in range(2):
        assert await call(sandbox, "/hooks/x") == 200
    assert [one["attempt_key"] for one in await caught(sandbox)] == ["a" * 32] * 2


@pytest.mark.parametrize(
    "body", [b"", b"no json", b"\xff\xfe", b"[" * 100_000, b"NaN", b'{"a": Infinity}', b'"\\ud800"', b"9" * 5000]
)
async def test_any_body_is_taken_and_can_be_shown(sandbox: Client, body: bytes) -> None:
    assert await call(sandbox, "/hooks/x", body, webhook_id="not hex") == 200
    (shown,) = await caught(sandbox)
    assert shown["data"] is None
    assert len(shown["attempt_key"]) == 32


async def test_put_is_taken_and_others_are_not(sandbox: Client) -> None:
    assert await call(sandbox, "/hooks/x", method="PUT") == 200
    assert await call(sandbox, "/hooks/x", method="DELETE") == 405
    assert await call(sandbox, "/hooks/x", b"x" * 1_100_000) == 413
    assert len(await caught(sandbox)) == 1


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("/hooks/fail/2", [500, 500, 200, 200]),
        ("/hooks/fail/2/mine", [500, 500, 200]),
        ("/hooks/fail", [500, 200]),
        ("/hooks/fail/x", [500, 200]),
        ("/hooks/fail/0", [200]),
        ("/hooks/throttle/mine", [429, 200]),
        ("/hooks/gone", [410, 410]),
        ("/hooks/gone/mine", [410]),
        ("/hooks/redirect", [302, 302]),
        ("/hooks/failure", [200]),
    ],
)
async def test_paths_that_behave_badly(sandbox: Client, path: str, statuses: list[int]) -> None:
    assert [await call(sandbox, path) for _ in statuses] == statuses
    assert len(await caught(sandbox)) == statuses.count(200)


async def test_every_webhook_fails_by_itself(sandbox: Client) -> None:
    assert [await call(sandbox, "/hooks/fail/1", webhook_id=name) for name in "abab"] == [500, 500, 200, 200]


async def test_a_slow_one_has_it_before_it_answers() -> None:
    inbox = Inbox(capacity=1000, honour_keys=True, boot="b")
    app = application()
    Hooks(inbox, lambda: datetime.now(UTC)).add_to(app)
    async with TestClient(TestServer(app)) as client:
        waiting = asyncio.create_task(call(client, "/hooks/slow/mine"))
        async with asyncio.timeout(10):
            while not inbox.total:
                await asyncio.sleep(0.005)
        assert not waiting.done()
        await app.shutdown()
        assert await waiting == 200
    inbox.close()
