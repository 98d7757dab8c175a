"""Whom the platform calls for a tenant, what follows a message, and whether it can be paid for."""

from datetime import UTC, datetime, timedelta
from typing import Any

from libs.contracts.audience import Addresses, StoredAudience
from libs.contracts.content import ViberContent
from libs.contracts.notification import Callback, Fallback
from libs.contracts.routing import Channel
from libs.wire import Problem
from tests.services.gateway.doubles import NATIVE, OTHERS_KEY
from tests.services.gateway.test_routes import CALLS, EACH_CALL, NATIVE_SMS

HERE = "http://127.0.0.1:8025/hooks/a"


async def test_who_is_told_and_what_follows_reach_the_command(gateway: Any, behind: Any) -> None:
    step = {"channel": "viber", "after": 300, "content": {"text": "hi again"}}
    body = NATIVE_SMS | {
        "fallback": [step],
        "callback": {"url": "HTTPS://Hooks.Example.com:443/a"},
        "at": "2030-10-27T02:30:00",
        "zone": "Europe/Warsaw",
    }
    async with gateway.post("/notifications", json=body, headers=NATIVE) as response:
        assert response.status == 202
        assert (await response.json())["adjusted"] == "overlap"
    (only,) = behind.intake.commands[0].notifications
    assert only.callback == Callback(url="https://hooks.example.com/a", dialect="native")
    assert only.fallback == (
        Fallback(channel=Channel.VIBER, after=timedelta(minutes=5), content=ViberContent(text="hi again")),
    )
    assert only.at == datetime(2030, 10, 27, 0, 30, tzinfo=UTC)
    assert (only.wall, only.zone) == ("2030-10-27T02:30:00", "Europe/Warsaw")


async def test_only_who_may_has_this_machine_called(gateway: Any, behind: Any) -> None:
    theirs = {"Authorization": f"Bearer {OTHERS_KEY}"}
    webhook = {"channel": "webhook", "to": {"addresses": [HERE]}, "content": {"data": 1}}
    for body, field in ((webhook, "to.addresses"), (NATIVE_SMS | {"callback": {"url": HERE}}, "callback.url")):
        async with gateway.post("/notifications", json=body, headers=theirs) as response:
            assert response.status == 422
            assert [error["field"] for error in (await response.json())["errors"]] == [field]
        async with gateway.post("/notifications", json=body, headers=NATIVE) as response:
            assert response.status == 202
    assert len(behind.intake.accepted) == 2


async def test_long_urls_are_stored_however_few_they_are(gateway: Any, behind: Any) -> None:
    urls = [f"https://h{number}.example.com/{'x' * 1900}" for number in range(200)]
    body = {"channel": "webhook", "to": {"addresses": urls}, "content": {"data": 1}}
    async with gateway.post("/notifications", json=body, headers=NATIVE) as response:
        assert response.status == 202
    to = behind.intake.commands[0].notifications[0].to
    assert isinstance(to, StoredAudience)
    assert Addresses.model_validate_json(behind.content.bodies["demo", to.sha256]).addresses == tuple(urls)


@EACH_CALL
async def test_what_cannot_be_paid_is_refused_until_it_can(gateway: Any, behind: Any, name: str) -> None:
    path, headers, body, status = CALLS[name]
    keyed = headers | {"Idempotency-Key": "k"}
    behind.balances.failure = Problem(402, "not_enough_funds", "There is not enough money.")
    async with gateway.post(path, json=body, headers=keyed) as response:
        assert response.status == 402
        answer = await response.json(content_type=None)
        if name == "altegio":
            message = "Insufficient funds on the account. Refill your balance."
            assert answer == {"success": False, "data": None, "meta": {"message": message}}
    behind.balances.failure = None
    async with gateway.post(path, json=body, headers=keyed) as response:
        assert response.status == status
    behind.balances.failure = Problem(402, "not_enough_funds", "There is not enough money.")
    async with gateway.post(path, json=body, headers=keyed) as response:
        assert (response.status, response.headers["Idempotent-Replayed"]) == (status, "true")
    assert len(behind.intake.accepted) == 1
