"""Whether a call can be paid for."""

from collections.abc import Mapping
from typing import Any

import pytest

from libs.contracts.audience import Addresses, ClientIds
from libs.contracts.content import SmsContent, ViberContent, WebhookContent
from libs.contracts.failures import Unavailable
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.wire import JsonValue, Problem
from services.gateway.balances import Balances
from services.gateway.funds import Account, account_in, require_funds
from services.gateway.translation import Draft

HOOK = Addresses(addresses=("https://hooks.example.com/a",))


def sms(people: int, text: str = "hi") -> Draft:
    to = ClientIds(client_ids=tuple(range(people)))
    return Draft(Channel.SMS, to, SmsContent(text=text), Lane.BULK, MessageClass.BULK)


VIBER = Draft(Channel.VIBER, HOOK, ViberContent(text="hi"), Lane.BULK, MessageClass.BULK)
WEBHOOK = Draft(Channel.WEBHOOK, HOOK, WebhookContent(body=""), Lane.BULK, MessageClass.WEBHOOK)


@pytest.mark.parametrize(
    ("drafts", "account", "enough"),
    [
        ([sms(3)], None, True),
        ([sms(3)], Account(30, 10), True),
        ([sms(3)], Account(29, 10), False),
        ([sms(1, "x" * 161)], Account(19, 10), False),
        ([sms(1, "ї" * 71)], Account(19, 10), False),
        ([sms(1, "ї" * 70)], Account(10, 10), True),
        ([sms(2), sms(2)], Account(39, 10), False),
        ([sms(2), sms(2)], Account(40, 10), True),
        ([sms(1)], Account(0, 0), False),
        ([sms(1)], Account(1, 0), True),
        ([VIBER], Account(-1, 10), False),
        ([VIBER], Account(1, 10), True),
    ],
)
def test_enough_or_not(drafts: list[Draft], account: Account | None, enough: bool) -> None:
    if enough:
        require_funds(drafts, account)
        return
    with pytest.raises(Problem) as caught:
        require_funds(drafts, account)
    assert (caught.value.status, caught.value.code) == (402, "not_enough_funds")


@pytest.mark.parametrize(
    ("found", "account"),
    [
        ({"tenant": "demo", "metered": True, "balance": 5, "currency": "EUR", "price_per_segment": 2}, Account(5, 2)),
        ({"metered": True, "balance": 5}, Account(5, 0)),
        ({"metered": False, "balance": None}, None),
        ({"metered": True, "balance": None}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_what_a_dispatcher_tells(found: Any, account: Account | None) -> None:
    assert account_in(found) == account


class Dispatcher:
    def __init__(self) -> None:
        self.balance, self.asked, self.is_away = 100, 0, False

    async def get_json(
        self, path: str, *, params: Mapping[str, str] | None = None, within: float = 1.0
    ) -> tuple[int, JsonValue]:
        assert path == "/accounts/demo"
        self.asked += 1
        if self.is_away:
            raise Unavailable("away")
        return 200, {"metered": True, "balance": self.balance, "price_per_segment": 10}


async def test_a_balance_is_remembered_for_five_seconds() -> None:
    dispatcher, clock = Dispatcher(), [0.0]
    balances = Balances(dispatcher, lambda: clock[0])
    await balances.require("demo", [sms(10)])
    with pytest.raises(Problem):
        await balances.require("demo", [sms(11)])
    dispatcher.balance, clock[0] = 0, 5.0
    await balances.require("demo", [sms(10)])
    assert dispatcher.asked == 1
    clock[0] = 5.1
    with pytest.raises(Problem):
        await balances.require("demo", [sms(1)])


async def test_a_dispatcher_that_is_away_refuses_nothing_and_is_not_asked_all_the_time() -> None:
    dispatcher = Dispatcher()
    dispatcher.is_away = True
    balances = Balances(dispatcher)
    for _ in range(3):
        await balances.require("demo", [sms(1000)])
    assert dispatcher.asked == 1


async def test_what_is_posted_to_the_caller_itself_is_free() -> None:
    dispatcher = Dispatcher()
    await Balances(dispatcher).require("demo", [WEBHOOK])
    assert dispatcher.asked == 0
