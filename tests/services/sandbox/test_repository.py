import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.sandbox.repository import Arrival, Inbox, Query

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def make() -> Callable[..., Inbox]:
    def inbox(*, capacity: int = 10_000, honour_keys: bool = True) -> Inbox:
        return Inbox(capacity=capacity, honour_keys=honour_keys, boot="b")

    return inbox


def arrival(number: int, text: str = "Hello", to: str | None = None) -> Arrival:
    return Arrival("sms", to or f"4850{number:07d}", "Salon", text, number.to_bytes(16, "big"))


async def shown(inbox: Inbox, **query: Any) -> list[str]:
    document: Any = await inbox.show(Query(**query))
    return [message["id"] for message in document["messages"]]


async def test_a_message_is_shown_as_it_arrived(make: Callable[..., Inbox]) -> None:
    inbox = make()
    (number,) = inbox.arrive([arrival(1, "Café 7")], NOON)
    assert await inbox.show(Query()) == {
        "total": 1,
        "dropped": 0,
        "messages": [
            {
                "id": "1",
                "channel": "sms",
                "to": "48500000001",
                "from": "Salon",
                "subject": None,
                "text": "Café 7",
                "html": None,
                "headers": None,
                "data": None,
                "provider_message_id": inbox.provider_message_id(number),
                "received_at": "2026-11-22T12:00:00.123456+00:00",
                "attempt_key": "00000000000000000000000000000001",
            }
        ],
    }


async def test_the_newest_comes_first_and_pages_follow(make: Callable[..., Inbox]) -> None:
    inbox = make()
    for number in range(1, 8):
        inbox.arrive([arrival(number)], NOON)
    assert await shown(inbox, limit=3) == ["7", "6", "5"]
    assert await shown(inbox, limit=3, before=5) == ["4", "3", "2"]
    assert (await inbox.show(Query(limit=3, before=5)))["total"] == 7


async def test_it_finds(make: Callable[..., Inbox]) -> None:
    inbox = make()
    inbox.arrive([arrival(1, "100% sure"), arrival(2, "Заказ готов"), arrival(3, "x", to="4899")], NOON)
    inbox.arrive([arrival(4, "later")], NOON + timedelta(seconds=1))
    assert await shown(inbox, contains="%") == ["1"]
    assert await shown(inbox, contains="Заказ") == ["2"]
    assert await shown(inbox, to="4899") == ["3"]
    assert await shown(inbox, since=NOON + timedelta(seconds=1)) == ["4"]
    assert await shown(inbox, since=NOON) == ["4", "3", "2", "1"]
    assert await shown(inbox, channel="email") == []
    assert await shown(inbox, channel="sms", to="4899", contains="x", since=NOON) == ["3"]


def test_a_key_seen_before_has_its_first_id_and_is_not_shown_again(make: Callable[..., Inbox]) -> None:
    inbox = make()
    first = inbox.arrive([arrival(1), arrival(2), arrival(1)], NOON)
    assert first == [1, 2, 1]
    assert inbox.newest == 2
    assert inbox.arrive([arrival(2), arrival(3)], NOON) == [2, 3]
    assert inbox.newest == 3
    assert inbox.total == 3
    inbox.clear()
    assert inbox.arrive([arrival(1)], NOON) == [1]
    assert inbox.total == 0


def test_a_carrier_that_honours_no_keys_delivers_twice(make: Callable[..., Inbox]) -> None:
    inbox = make(honour_keys=False)
    assert inbox.arrive([arrival(1), arrival(1)], NOON) == [1, 2]
    assert inbox.total == 2


async def test_the_oldest_are_dropped_and_counted(make: Callable[..., Inbox]) -> None:
    inbox = make(capacity=1000)
    for start in range(0, 5000, 50):
        inbox.arrive([arrival(start + number) for number in range(50)], NOON)
        assert inbox.total <= 1000
    assert inbox.total + inbox.dropped == 5000
    assert await shown(inbox, limit=1) == ["5000"]
    rows = inbox._base.execute("SELECT count(*), min(id), (SELECT count(*) FROM taken) FROM message").fetchone()
    assert rows[0] == inbox.total
    assert rows[1] == inbox.dropped + 1
    assert rows[2] <= 2050


async def test_emptying_it_starts_the_count_anew(make: Callable[..., Inbox]) -> None:
    inbox = make()
    inbox.arrive([arrival(1)], NOON)
    inbox.clear()
    assert await inbox.show(Query()) == {"total": 0, "dropped": 0, "messages": []}


async def test_channels_are_told_apart(make: Callable[..., Inbox]) -> None:
    inbox = make()
    inbox.arrive([arrival(1), arrival(2)._replace(channel="viber"), arrival(3)], NOON)
    assert await shown(inbox, channel="sms") == ["3", "1"]
    assert await shown(inbox, channel="viber") == ["2"]
    assert await shown(inbox, channel="viber", contains="Hello") == ["2"]


async def test_what_is_caught_is_shown_each_time_with_all_it_has(make: Callable[..., Inbox]) -> None:
    inbox = make()
    caught = arrival(1)._replace(channel="webhook", headers={"a": "b"}, data={"c": [1, "ё"]})
    assert [inbox.catch(caught, NOON), inbox.catch(caught, NOON)] == [1, 2]
    document: Any = await inbox.show(Query(limit=1))
    assert document["total"] == 2
    assert (document["messages"][0]["headers"], document["messages"][0]["data"]) == ({"a": "b"}, {"c": [1, "ё"]})
    assert inbox.known([caught.attempt_key]) == {}


async def test_looking_through_everything_lets_others_have_their_turn(make: Callable[..., Inbox]) -> None:
    inbox = make(capacity=100_000)
    for start in range(1, 22_001, 500):
        inbox.arrive([arrival(start + n, "odd" if (start + n) % 2 else "even") for n in range(500)], NOON)
    looking = asyncio.create_task(inbox.show(Query(contains="even", limit=3, before=21_000)))
    turns = 0
    while not looking.done():
        await asyncio.sleep(0)
        turns += 1
        if turns == 2:
            inbox.arrive([arrival(30_000, "even")], NOON)
    assert turns >= 4
    document: Any = looking.result()
    assert document["total"] == 11_000
    assert [message["id"] for message in document["messages"]] == ["20998", "20996", "20994"]


async def test_it_may_be_emptied_while_somebody_looks(make: Callable[..., Inbox]) -> None:
    inbox = make(capacity=100_000)
    for start in range(1, 12_001, 500):
        inbox.arrive([arrival(start + n) for n in range(500)], NOON)
    looking = asyncio.create_task(inbox.show(Query(contains="Hello")))
    await asyncio.sleep(0)
    inbox.clear()
    document: Any = await looking
    assert document["messages"] == []
