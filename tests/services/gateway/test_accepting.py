"""Drafts become one command, the same again for the same ids."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from libs.bus import BusSettings, Intake
from libs.contracts.audience import Addresses, ClientIds
from libs.contracts.content import SmsContent
from libs.contracts.ids import created_at, new_notification_id
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.wire import Problem
from services.gateway.accepting import STORING_AT_ONCE, Accepting
from services.gateway.authorization import Principal
from services.gateway.deadline import Deadline
from services.gateway.translation import Draft
from tests.services.gateway.doubles import (
    ALTEGIO,
    NATIVE,
    SMS_PATH,
    TENANT,
    FakeBalances,
    FakeContent,
    FakeIntake,
    Platform,
)

WHO = Principal(TENANT, "demo/key")
NOW = datetime(2026, 11, 22, tzinfo=UTC)
LONG = ClientIds(client_ids=tuple(range(10**12, 10**12 + 30_000)))


def draft(to: ClientIds | Addresses, lane: Lane = Lane.BULK, ordering_key: str | None = None) -> Draft:
    content = SmsContent(text="hi")
    return Draft(Channel.SMS, to, content, lane, MessageClass.BULK, ordering_key=ordering_key)


async def test_a_command_depends_on_its_ids_and_drafts_alone() -> None:
    intake = FakeIntake()
    ids = (new_notification_id(NOW),)
    for _ in range(2):
        accepting = Accepting(intake, FakeContent(), FakeBalances())
        await accepting.accept(WHO, "native", (draft(LONG),), ids, Deadline(2))
    first, second = intake.commands
    assert first == second
    assert first.occurred_at == created_at(ids[0])


@pytest.mark.parametrize(
    ("drafts", "key"),
    [
        ((draft(ClientIds(client_ids=(1, 2)), ordering_key="visit-81"),), "visit-81"),
        ((draft(ClientIds(client_ids=(17,))),), "client:17"),
        ((draft(ClientIds(client_ids=(1, 2))),), None),
        ((draft(Addresses(addresses=("+48501234567", "+48501234568"))),), None),
        ((draft(ClientIds(client_ids=(17,))), draft(ClientIds(client_ids=(18,)))), None),
    ],
)
async def test_what_keeps_the_order(drafts: tuple[Draft, ...], key: str | None) -> None:
    intake = FakeIntake()
    ids = tuple(new_notification_id(NOW) for _ in drafts)
    await Accepting(intake, FakeContent(), FakeBalances()).accept(WHO, "native", drafts, ids, Deadline(2))
    assert intake.commands[0].key == (key or str(ids[0]))


async def test_a_call_is_urgent_only_if_all_of_it_is() -> None:
    for lanes, lane in (((Lane.URGENT,) * 2, Lane.URGENT), ((Lane.URGENT, Lane.BULK), Lane.BULK)):
        intake = FakeIntake()
        drafts = tuple(draft(ClientIds(client_ids=(1,)), one) for one in lanes)
        ids = tuple(new_notification_id(NOW) for _ in drafts)
        await Accepting(intake, FakeContent(), FakeBalances()).accept(WHO, "native", drafts, ids, Deadline(2))
        assert intake.accepted[0].topic.lane is lane


async def test_few_long_lists_are_on_their_way_at_once() -> None:
    class SlowContent(FakeContent):
        storing = most = 0
        go = asyncio.Event()

        async def put(self, tenant: str, body: bytes) -> str:
            self.storing += 1
            self.most = max(self.most, self.storing)
            await self.go.wait()
            self.storing -= 1
            return await super().put(tenant, body)

    content, intake = SlowContent(), FakeIntake()
    accepting = Accepting(intake, content, FakeBalances())

    async def accept() -> Any:
        return await accepting.accept(WHO, "native", (draft(LONG),), (new_notification_id(NOW),), Deadline(30))

    calls = [asyncio.create_task(accept()) for _ in range(STORING_AT_ONCE * 2)]
    while content.storing < STORING_AT_ONCE:
        await asyncio.sleep(0)
    with pytest.raises(Problem) as caught:
        late = (draft(LONG),)
        await accepting.accept(WHO, "native", late, (new_notification_id(NOW),), Deadline(0))
    assert caught.value.headers["X-Accept-Outcome"] == "refused"
    content.go.set()
    await asyncio.gather(*calls)
    assert content.most == STORING_AT_ONCE
    assert len(intake.accepted) == STORING_AT_ONCE * 2


async def test_without_kafka_every_api_refuses_in_its_own_form(connect: Any) -> None:
    """The real intake, and nobody listening."""
    intake = Intake(BusSettings(bootstrap_servers="127.0.0.1:1"))
    await intake.start()
    try:
        gateway = await connect(Platform(intake=intake).app())  # type: ignore[arg-type]
        async with gateway.post(SMS_PATH, json={"client_ids": [1], "text": "hi"}, headers=ALTEGIO) as response:
            assert response.status == 503
            assert await response.json() == {
                "success": False,
                "data": None,
                "meta": {"message": "Service unavailable."},
            }
            assert (response.headers["Retry-After"], response.headers["X-Accept-Outcome"]) == ("1", "refused")
        body = {"channel": "sms", "to": {"client_ids": [1]}, "content": {"text": "hi"}}
        async with gateway.post("/notifications", json=body, headers=NATIVE) as response:
            assert (response.status, response.content_type) == (503, "application/problem+json")
            assert (response.headers["Retry-After"], response.headers["X-Accept-Outcome"]) == ("1", "refused")
    finally:
        await intake.stop()
