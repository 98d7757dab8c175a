"""Webhooks through the whole platform: signed, tried again, refused where they must not go."""

import json
from typing import Any
from uuid import uuid4

import pytest
from standardwebhooks.webhooks import Webhook

from deploy.local import ports
from tests.e2e.caller import Caller, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("platform")]


async def post(caller: Caller, url: str) -> str:
    return await caller.send(channel="webhook", to={"addresses": [url]}, content={"data": {"greeting": "Привет"}})


async def becomes(caller: Caller, notification: str, state: str) -> dict[str, Any]:
    """The delivery, once it has this state."""
    (listed,) = await eventually(
        lambda: caller.deliveries(notification), lambda found: [one["state"] for one in found] == [state]
    )
    return await caller.delivery(listed["id"])


async def caught(caller: Caller, url: str) -> list[dict[str, Any]]:
    return await caller.inbox(channel="webhook", to=url)


@pytest.mark.parametrize(
    ("path", "attempts"), [("hooks", ["sent"]), ("hooks/fail/1", ["retrying", "sent"]), ("hooks/throttle", ["sent"])]
)
async def test_a_webhook_arrives_once_and_can_be_verified(caller: Caller, path: str, attempts: list[str]) -> None:
    url = f"{caller.sandbox}/{path}/{uuid4().hex}"
    delivery = await becomes(caller, await post(caller, url), "sent")
    assert [attempt["state"] for attempt in delivery["attempts"]] == attempts
    (message,) = await caught(caller, url)
    assert message["data"] == {"greeting": "Привет"}
    _, answer = await caller.ask("GET", "/signing-secret")
    for secret in answer["secrets"]:
        assert Webhook(secret).verify(message["text"], message["headers"]) == {"greeting": "Привет"}


@pytest.mark.parametrize(
    ("path", "reason"), [("gone", "http 410: the endpoint wants no more"), ("redirect", "http 302")]
)
async def test_what_is_over_is_over(caller: Caller, path: str, reason: str) -> None:
    url = f"{caller.sandbox}/hooks/{path}/{uuid4().hex}"
    delivery = await becomes(caller, await post(caller, url), "carrier_rejected")
    assert delivery["reason"].startswith(reason)
    assert await caught(caller, url) == []
    assert await caught(caller, f"{caller.sandbox}/hooks/redirected") == []


async def test_an_endpoint_that_is_down_holds_up_no_other(caller: Caller) -> None:
    dead = await post(caller, f"http://127.0.0.1:{ports.any_free(set())}/{uuid4().hex}")
    url = f"{caller.sandbox}/hooks/{uuid4().hex}"
    await becomes(caller, await post(caller, url), "sent")
    delivery = await becomes(caller, dead, "retrying")
    assert delivery["reason"].startswith("not connected")
    await caller.control(dead, "cancel")
    await becomes(caller, dead, "cancelled")


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:10.0.0.1]/",
        "http://example.com/",
        "https://0x7f.1/",
    ],
)
async def test_inner_addresses_are_refused_at_once(caller: Caller, url: str) -> None:
    body = {"channel": "webhook", "to": {"addresses": [url]}, "content": {"data": {}}}
    status, answer = await caller.ask("POST", "/notifications", body)
    assert status == 422
    assert url not in json.dumps(answer)
