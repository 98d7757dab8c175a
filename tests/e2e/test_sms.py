"""One SMS and a campaign, from the HTTP call to the delivered message, through the platform's own processes."""

import asyncio
import time
from collections import Counter
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from tests.e2e.caller import Caller, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("platform")]


async def altegio(platform: Any, prefix: str, body: dict[str, Any]) -> str:
    """The id of the notification that a documented call makes."""
    tokens = platform.credentials["altegio"]
    headers = {"Authorization": f"Bearer {tokens['partner_token']}, User {tokens['user_token']}"}
    url = f"{platform.gateway}{prefix}/v1/sms/clients/by_id/{tokens['location_id']}"
    async with aiohttp.ClientSession() as session, session.post(url, headers=headers, json=body) as response:
        assert response.status == 201
        assert await response.json() == {"success": True, "data": None, "meta": {"message": "Accepted"}}
        return response.headers["X-Notification-Id"]


async def test_an_altegio_call_reaches_the_phone(platform: Any, caller: Caller) -> None:
    text = f"Ваш визит завтра в 10:00 {uuid4().hex}"
    notification = await altegio(platform, "/api", {"client_ids": [1], "text": text})
    done = await caller.finished(notification)
    assert done["planned"] + done["suppressed"] == 1
    (message,) = await caller.inbox(contains=text)
    assert (message["channel"], message["text"]) == ("sms", text)
    assert done["counts"]["delivered"] == 1


async def test_a_native_call_can_be_followed_to_the_report(caller: Caller) -> None:
    text = f"code {uuid4().hex}"
    notification = await caller.send(channel="sms", to={"addresses": ["+48501234567"]}, content={"text": text})
    done = await caller.finished(notification)
    assert (done["planned"], done["suppressed"], done["counts"]["delivered"]) == (1, 0, 1)
    (listed,) = await caller.deliveries(notification)
    delivery = await caller.delivery(listed["id"])
    assert (delivery["state"], delivery["to"], delivery["channel"]) == ("delivered", "+48501234567", "sms")
    (attempt,) = delivery["attempts"]
    assert attempt["state"] == "sent"
    assert delivery["receipts"][-1]["state"] == "delivered"
    (message,) = await caller.inbox(contains=text)
    assert message["provider_message_id"] == attempt["provider_message_id"]


async def test_everyone_with_a_phone_gets_it_once(platform: Any, caller: Caller) -> None:
    text = f"campaign {uuid4().hex}"
    notification = await altegio(platform, "", {"client_ids": list(range(1, 2001)), "text": text})
    done = await caller.finished(notification)
    assert done["planned"] + done["suppressed"] == 2000
    assert done["suppressed"] > 0
    assert {state: count for state, count in done["counts"].items() if count and state != "suppressed"} == {
        "delivered": done["planned"]
    }
    arrived = Counter(message["to"] for message in await caller.inbox(contains=text))
    assert len(arrived) == done["planned"]
    assert set(arrived.values()) == {1}
    left_out = await caller.deliveries(notification, state="suppressed")
    assert len(left_out) == done["suppressed"]
    assert {delivery["reason"] for delivery in left_out} == {"no_phone"}


async def test_a_later_message_is_held_and_released_once(caller: Caller) -> None:
    text = f"later {uuid4().hex}"
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 4))
    notification = await caller.send(channel="sms", to={"client_ids": [1, 2, 3]}, content={"text": text}, at=at)
    await caller.reaches(notification, "waiting")
    assert await caller.inbox(contains=text) == []
    done = await caller.finished(notification)
    messages = await caller.inbox(contains=text)
    assert len(messages) == done["planned"]
    assert all(message["received_at"][:19] >= at[:19] for message in messages)


async def test_a_repeated_key_is_one_notification(caller: Caller) -> None:
    text, key = f"once {uuid4().hex}", uuid4().hex
    body = {"channel": "sms", "to": {"addresses": ["+48501234568"]}, "content": {"text": text}}

    async def call() -> tuple[int, str]:
        while True:
            status, answer = await caller.ask("POST", "/notifications", body, **{"Idempotency-Key": key})
            if status != 409:
                return status, str(answer)
            await asyncio.sleep(0.2)

    ((code, _),) = set(await asyncio.gather(*(call() for _ in range(10))))
    assert code == 202
    await eventually(lambda: caller.inbox(contains=text), bool)
    await asyncio.sleep(1)
    assert len(await caller.inbox(contains=text)) == 1


async def test_nobody_reads_with_a_wrong_key(platform: Any, caller: Caller) -> None:
    notification = await caller.send(channel="sms", to={"client_ids": [1]}, content={"text": "hi"})
    for headers in ({}, {"Authorization": "Bearer nobody_nothing"}, {"Authorization": "Basic eDp5"}):
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{platform.gateway}/notifications/{notification}", headers=headers) as response,
        ):
            assert response.status == 401
            assert response.content_type == "application/problem+json"
