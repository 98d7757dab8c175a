"""One SMS and a campaign, from the HTTP call to the delivered message, through the platform's own processes."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("platform")]
OPEN_STATES = {"queued", "sending", "retrying", "unknown", "sent", "on_phone"}


@pytest.fixture
async def session(platform: Any) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def native(platform: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {platform.credentials['native']['api_key']}"}


@pytest.fixture
def altegio(platform: Any) -> dict[str, str]:
    tokens = platform.credentials["altegio"]
    return {"Authorization": f"Bearer {tokens['partner_token']}, User {tokens['user_token']}"}


async def eventually(
    read: Callable[[], Any], accept: Callable[[Any], bool], *, within: float = 60, every: float = 0.1
) -> Any:
    """The first answer of `read` that `accept` takes; fails with the last one when `within` seconds pass."""
    deadline = time.monotonic() + within
    while True:
        answer = await read()
        if accept(answer):
            return answer
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(every)


async def status(session: aiohttp.ClientSession, platform: Any, native: dict[str, str], notification: str) -> Any:
    async with session.get(f"{platform.gateway}/notifications/{notification}", headers=native) as response:
        assert response.status in (200, 202)
        return await response.json()


async def finished(session: aiohttp.ClientSession, platform: Any, native: dict[str, str], notification: str) -> Any:
    def over(answer: Any) -> bool:
        open_deliveries = sum(answer.get("counts", {}).get(state, 0) for state in OPEN_STATES)
        return bool(answer.get("totals_known")) and not open_deliveries

    return await eventually(lambda: status(session, platform, native, notification), over, within=120)


async def inbox(session: aiohttp.ClientSession, platform: Any, **query: str | int) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    while True:
        async with session.get(f"{platform.sandbox}/messages", params={"limit": 5000, **query}) as response:
            assert response.status == 200
            page = (await response.json())["messages"]
        if not page:
            return messages
        messages += page
        query["before"] = page[-1]["id"]


async def test_an_altegio_call_reaches_the_phone(session: Any, platform: Any, native: Any, altegio: Any) -> None:
    text = f"Ваш визит завтра в 10:00 {uuid4().hex}"
    location = platform.credentials["altegio"]["location_id"]
    url = f"{platform.gateway}/api/v1/sms/clients/by_id/{location}"
    async with session.post(url, headers=altegio, json={"client_ids": [1], "text": text}) as response:
        assert response.status == 201
        assert await response.json() == {"success": True, "data": None, "meta": {"message": "Accepted"}}
        notification = response.headers["X-Notification-Id"]
    done = await finished(session, platform, native, notification)
    assert done["planned"] + done["suppressed"] == 1
    (message,) = await inbox(session, platform, contains=text)
    assert (message["channel"], message["text"]) == ("sms", text)
    assert done["counts"]["delivered"] == 1


async def test_a_native_call_can_be_followed_to_the_report(session: Any, platform: Any, native: Any) -> None:
    text = f"code {uuid4().hex}"
    body = {"channel": "sms", "to": {"addresses": ["+48501234567"]}, "content": {"text": text}}
    async with session.post(f"{platform.gateway}/notifications", headers=native, json=body) as response:
        assert response.status == 202
        answer = await response.json()
    done = await finished(session, platform, native, answer["id"])
    assert (done["planned"], done["suppressed"], done["counts"]["delivered"]) == (1, 0, 1)
    url = f"{platform.gateway}/notifications/{answer['id']}/deliveries"
    async with session.get(url, headers=native) as response:
        (listed,) = (await response.json())["deliveries"]
    async with session.get(f"{platform.gateway}/deliveries/{listed['id']}", headers=native) as response:
        delivery = await response.json()
    assert (delivery["state"], delivery["to"], delivery["channel"]) == ("delivered", "+48501234567", "sms")
    (attempt,) = delivery["attempts"]
    assert attempt["state"] == "sent"
    assert delivery["receipts"][-1]["state"] == "delivered"
    (message,) = await inbox(session, platform, contains=text)
    assert message["provider_message_id"] == attempt["provider_message_id"]


async def test_everyone_with_a_phone_gets_it_once(session: Any, platform: Any, native: Any, altegio: Any) -> None:
    text = f"campaign {uuid4().hex}"
    location = platform.credentials["altegio"]["location_id"]
    url = f"{platform.gateway}/v1/sms/clients/by_id/{location}"
    body = {"client_ids": list(range(1, 2001)), "text": text}
    async with session.post(url, headers=altegio, json=body) as response:
        assert response.status == 201
        notification = response.headers["X-Notification-Id"]
    done = await finished(session, platform, native, notification)
    assert done["planned"] + done["suppressed"] == 2000
    assert done["suppressed"] > 0
    assert {state: count for state, count in done["counts"].items() if count and state != "suppressed"} == {
        "delivered": done["planned"]
    }
    arrived = Counter(message["to"] for message in await inbox(session, platform, contains=text))
    assert len(arrived) == done["planned"]
    assert set(arrived.values()) == {1}
    url = f"{platform.gateway}/notifications/{notification}/deliveries"
    async with session.get(url, headers=native, params={"state": "suppressed", "limit": 1000}) as response:
        left_out = (await response.json())["deliveries"]
    assert len(left_out) == done["suppressed"]
    assert {delivery["reason"] for delivery in left_out} == {"no_phone"}


async def test_a_later_message_is_held_and_released_once(session: Any, platform: Any, native: Any) -> None:
    text = f"later {uuid4().hex}"
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 4))
    body = {"channel": "sms", "to": {"client_ids": [1, 2, 3]}, "content": {"text": text}, "at": at}
    async with session.post(f"{platform.gateway}/notifications", headers=native, json=body) as response:
        assert response.status == 202
        notification = (await response.json())["id"]
    waiting = await eventually(
        lambda: status(session, platform, native, notification), lambda answer: answer["state"] != "accepted"
    )
    assert waiting["state"] == "waiting"
    assert await inbox(session, platform, contains=text) == []
    done = await finished(session, platform, native, notification)
    messages = await inbox(session, platform, contains=text)
    assert len(messages) == done["planned"]
    assert all(message["received_at"][:19] >= at[:19] for message in messages)


async def test_a_repeated_key_is_one_notification(session: Any, platform: Any, native: Any) -> None:
    text = f"once {uuid4().hex}"
    body = {"channel": "sms", "to": {"addresses": ["+48501234568"]}, "content": {"text": text}}
    headers = native | {"Idempotency-Key": uuid4().hex}

    async def call() -> tuple[int, bytes]:
        while True:
            async with session.post(f"{platform.gateway}/notifications", headers=headers, json=body) as response:
                if response.status != 409:
                    return response.status, await response.read()
                assert response.headers["Retry-After"]
                await asyncio.sleep(0.2)

    answers = set(await asyncio.gather(*(call() for _ in range(10))))
    ((code, _),) = answers
    assert code == 202
    await eventually(lambda: inbox(session, platform, contains=text), bool)
    await asyncio.sleep(1)
    assert len(await inbox(session, platform, contains=text)) == 1


async def test_nobody_reads_with_a_wrong_key(session: Any, platform: Any, native: Any) -> None:
    body = {"channel": "sms", "to": {"client_ids": [1]}, "content": {"text": "hi"}}
    async with session.post(f"{platform.gateway}/notifications", headers=native, json=body) as response:
        notification = (await response.json())["id"]
    for headers in ({}, {"Authorization": "Bearer nobody_nothing"}, {"Authorization": "Basic eDp5"}):
        async with session.get(f"{platform.gateway}/notifications/{notification}", headers=headers) as response:
            assert response.status == 401
            assert response.content_type == "application/problem+json"
