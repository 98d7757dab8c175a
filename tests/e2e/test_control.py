"""Pause, resume, cancel and reschedule, from the call to what arrives and what does not."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.e2e.caller import Caller, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("platform")]


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def campaign(caller: Caller, text: str, people: int = 2000) -> str:
    return await caller.send(channel="sms", to={"client_ids": list(range(1, people + 1))}, content={"text": text})


async def test_a_cancelled_start_never_comes(caller: Caller) -> None:
    text = f"cancelled {uuid4().hex}"
    notification = await caller.send(channel="sms", to={"client_ids": [1]}, content={"text": text}, at=soon(6))
    await caller.reaches(notification, "waiting")
    await caller.control(notification, "cancel")
    status = await caller.reaches(notification, "cancelled")
    assert status["planned"] == 0
    await asyncio.sleep(7)
    assert await caller.inbox(contains=text) == []
    assert (await caller.status(notification))["state"] == "cancelled"


async def test_a_paused_start_comes_when_it_is_resumed(caller: Caller) -> None:
    text = f"paused {uuid4().hex}"
    notification = await caller.send(channel="sms", to={"client_ids": [1]}, content={"text": text}, at=soon(3))
    await caller.reaches(notification, "waiting")
    await caller.control(notification, "pause")
    await caller.reaches(notification, "paused")
    await asyncio.sleep(4)
    assert await caller.inbox(contains=text) == []
    await caller.control(notification, "resume")
    await caller.finished(notification)
    assert len(await caller.inbox(contains=text)) == 1


async def test_a_start_can_be_brought_forward(caller: Caller) -> None:
    text = f"sooner {uuid4().hex}"
    notification = await caller.send(channel="sms", to={"client_ids": [1]}, content={"text": text}, at=soon(3600))
    await caller.reaches(notification, "waiting")
    answer = await caller.control(notification, "reschedule", {"at": soon(1)})
    assert answer["id"] == notification
    await caller.finished(notification)
    assert len(await caller.inbox(contains=text)) == 1


async def test_a_paused_campaign_goes_on_where_it_stopped(caller: Caller) -> None:
    text = f"pause {uuid4().hex}"
    notification = await campaign(caller, text)
    await caller.control(notification, "pause")
    await caller.reaches(notification, "paused")
    await asyncio.sleep(2)
    held = len(await caller.inbox(contains=text))
    await asyncio.sleep(2)
    assert len(await caller.inbox(contains=text)) == held
    await caller.control(notification, "resume")
    done = await caller.finished(notification)
    arrived = Counter(message["to"] for message in await caller.inbox(contains=text))
    assert set(arrived.values()) == {1}
    assert len(arrived) == done["planned"] == done["counts"]["delivered"]
    assert done["planned"] + done["suppressed"] == 2000


async def test_the_three_numbers_of_a_cancel_add_up(caller: Caller) -> None:
    text = f"cancel {uuid4().hex}"
    notification = await campaign(caller, text)
    await eventually(lambda: caller.status(notification), lambda answer: bool(answer.get("planned")), every=0.01)
    await caller.control(notification, "cancel")
    done = await caller.finished(notification)
    control = done["control"]
    assert control["gate"] == "cancelled"
    assert control["sent_before"] + control["slipped"] + control["stopped"] == done["planned"]
    assert control["stopped"] == done["counts"].get("cancelled", 0)
    arrived = {message["to"] for message in await caller.inbox(contains=text)}
    assert len(arrived) == control["sent_before"] + control["slipped"]


async def test_what_cannot_be_controlled_is_told(caller: Caller) -> None:
    status, answer = await caller.ask("POST", "/notifications/01920000-0000-7000-8000-000000000000/cancel")
    assert (status, answer["status"]) == (404, 404)
    notification = await caller.send(channel="sms", to={"client_ids": [1]}, content={"text": f"over {uuid4().hex}"})
    await caller.finished(notification)
    await caller.reaches(notification, "done")
    for action, body in (("cancel", None), ("pause", None), ("resume", None), ("reschedule", {"at": soon(60)})):
        status, answer = await caller.ask("POST", f"/notifications/{notification}/{action}", body)
        assert (status, answer["status"]) == (409, 409), action
    status, _ = await caller.ask("POST", f"/notifications/{notification}/reschedule", {"at": "tomorrow"})
    assert status in (400, 422)
