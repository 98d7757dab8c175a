"""What became of references, asked over HTTP."""

import asyncio
import json

import pytest
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from libs.contracts.outcomes import Accepted
from libs.settings import load
from libs.wire import HttpResponse
from services.dispatchers.account import Account
from services.dispatchers.provider import NOT_KNOWN
from services.dispatchers.sms.http_smsc import HttpSmsc
from services.sandbox.app import wire
from services.sandbox.reports import Reports
from services.sandbox.repository import Inbox
from services.sandbox.settings import SandboxSettings

KNOWN, OTHER = "a" * 32, "b" * 32
ENVIRONMENT = {"SANDBOX_CARRIER_KEY": "carrier-key", "SANDBOX_REPORT_DELAY": "60"}


@pytest.mark.parametrize("honour_keys", [True, False])
async def test_the_provider_understands_what_the_carrier_says_about_references(honour_keys: bool) -> None:
    async def deliver(url: str, body: bytes) -> bool:
        await asyncio.sleep(0)
        return True

    inbox = Inbox(capacity=1000, honour_keys=honour_keys, boot="b")
    provider = HttpSmsc(Account("", SecretStr("carrier-key"), "Salon", SecretStr("http://us.test/")))
    async with TestClient(TestServer(wire(load(SandboxSettings, ENVIRONMENT), inbox, Reports(deliver)))) as client:
        message = {"reference": KNOWN, "to": "+48500000900", "from": "Salon", "text": "Hello"}
        body = json.dumps({"callback_url": "http://us.test/", "messages": [message, message]})
        headers = {"Authorization": "Bearer carrier-key"}
        async with client.post("/smsc/messages", data=body, headers=headers) as response:
            first = (await response.json())["results"][0]["id"]
        request = provider.query([OTHER, KNOWN])
        async with client.post(request.url, data=request.body, headers=request.headers) as response:
            answer = HttpResponse(response.status, {}, await response.read())
        for data, given, status in (
            (b"{}", headers, 400),
            (b'{"references": ["x"]}', headers, 400),
            (b'{"references": []}', headers, 400),
            (request.body, {}, 401),
        ):
            async with client.post(request.url, data=data, headers=given) as response:
                assert response.status == status
    assert provider.answers(answer, [OTHER, KNOWN]) == [NOT_KNOWN, Accepted(first)]
    inbox.close()
