"""What follows a message that did not get through: a resend, another channel, word to the caller."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest

from libs import signing
from tests.e2e.caller import Caller, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("platform")]
REJECTED, UNDELIVERED = 9003, 9004


async def test_what_failed_can_be_sent_again(caller: Caller) -> None:
    notification = await caller.send(
        channel="sms", to={"client_ids": [1, REJECTED]}, content={"text": f"resend {uuid4().hex}"}
    )
    first = await caller.finished(notification)
    assert first["counts"] == {"delivered": 1, "carrier_rejected": 1}
    assert (await caller.control(notification, "resend"))["resent"] == 1

    async def failed() -> list[dict[str, Any]]:
        return await caller.deliveries(notification, state="carrier_rejected")

    again = await eventually(failed, lambda found: [one["generation"] for one in found] == [1])
    assert (await caller.status(notification))["planned"] == 2
    assert len((await caller.delivery(again[0]["id"]))["attempts"]) == 2
    delivered = await caller.deliveries(notification, state="delivered")
    status, answer = await caller.ask(
        "POST", f"/notifications/{notification}/resend", {"deliveries": [delivered[0]["id"]]}
    )
    assert (status, answer["status"]) == (409, 409)


async def test_who_did_not_get_the_sms_gets_viber(caller: Caller) -> None:
    text = f"fallback {uuid4().hex}"
    notification = await caller.send(
        channel="sms",
        to={"client_ids": [1, UNDELIVERED]},
        content={"text": text},
        fallback=[{"channel": "viber", "after": 5, "content": {"text": f"{text} by viber"}}],
    )
    (message,) = await eventually(lambda: caller.inbox(channel="viber", contains=text), bool)
    assert message["text"] == f"{text} by viber"
    done = await caller.finished(notification)
    assert done["counts"] == {"delivered": 1, "not_delivered": 2} or done["counts"] == {
        "delivered": 2,
        "not_delivered": 1,
    }
    await asyncio.sleep(6)
    assert len(await caller.inbox(channel="viber", contains=text)) == 1
    steps = {(one["client_id"], one["channel"]) for one in await caller.deliveries(notification)}
    assert steps == {(1, "sms"), (UNDELIVERED, "sms"), (UNDELIVERED, "viber")}


async def test_the_caller_is_told_with_a_signature(caller: Caller) -> None:
    url = f"{caller.sandbox}/hooks/{uuid4().hex}"
    notification = await caller.send(
        channel="sms", to={"client_ids": [1, REJECTED]}, content={"text": "call me back"}, callback={"url": url}
    )

    async def told() -> list[dict[str, Any]]:
        return await caller.inbox(channel="webhook", to=url)

    def is_complete(messages: list[dict[str, Any]]) -> bool:
        return "notification.completed" in {json.loads(message["text"])["type"] for message in messages} and {
            one["state"] for message in messages for one in json.loads(message["text"]).get("deliveries", [])
        } >= {"delivered", "carrier_rejected"}

    messages = await eventually(told, is_complete)
    _, answer = await caller.ask("GET", "/signing-secret")
    for message in messages:
        headers = {name.lower(): value for name, value in message["headers"].items()}
        assert signing.verifies(
            answer["secrets"],
            headers["webhook-id"],
            headers["webhook-timestamp"],
            message["text"].encode(),
            headers["webhook-signature"],
        )
        assert json.loads(message["text"])["notification_id"] == notification
