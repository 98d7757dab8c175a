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


def shown(inbox: Inbox, **query: Any) -> list[str]:
    return [message["id"] for message in inbox.show(Query(**query))["messages"]]  # type: ignore[union-attr,call-overload,index]


def test_a_message_is_shown_as_it_arrived(make: Callable[..., Inbox]) -> None:
    inbox = make()
    (number,) = inbox.arrive([arrival(1, "Café 7")], NOON)
    assert inbox.show(Query()) == {
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


def test_the_newest_comes_first_and_pages_follow(make: Callable[..., Inbox]) -> None:
    inbox = make()
    for number in range(1, 8):
        inbox.arrive([arrival(number)], NOON)
    assert shown(inbox, limit=3) == ["7", "6", "5"]
    assert shown(inbox, limit=3, before=5) == ["4", "3", "2"]
    assert inbox.show(Query(limit=3, before=5))["total"] == 7  # type: ignore[call-overload]


def test_it_finds(make: Callable[..., Inbox]) -> None:
    inbox = make()
    inbox.arrive([arrival(1, "100% sure"), arrival(2, "Заказ готов"), arrival(3, "x", to="4899")], NOON)
    inbox.arrive([arrival(4, "later")], NOON + timedelta(seconds=1))
    assert shown(inbox, contains="%") == ["1"]
    assert shown(inbox, contains="Заказ") == ["2"]
    assert shown(inbox, to="4899") == ["3"]
    assert shown(inbox, since=NOON + timedelta(seconds=1)) == ["4"]
    assert shown(inbox, since=NOON) == ["4", "3", "2", "1"]
    assert shown(inbox, channel="email") == []
    assert shown(inbox, channel="sms", to="4899", contains="x", since=NOON) == ["3"]


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


def test_the_oldest_are_dropped_and_counted(make: Callable[..., Inbox]) -> None:
    inbox = make(capacity=1000)
    for start in range(0, 5000, 50):
        inbox.arrive([arrival(start + number) for number in range(50)], NOON)
        assert inbox.total <= 1000
    assert inbox.total + inbox.dropped == 5000
    assert shown(inbox, limit=1) == ["5000"]
    rows = inbox._base.execute("SELECT count(*), min(id), (SELECT count(*) FROM taken) FROM message").fetchone()
    assert rows[0] == inbox.total
    assert rows[1] == inbox.dropped + 1
    assert rows[2] <= 2050


def test_emptying_it_starts_the_count_anew(make: Callable[..., Inbox]) -> None:
    inbox = make()
    inbox.arrive([arrival(1)], NOON)
    inbox.clear()
    assert inbox.show(Query()) == {"total": 0, "dropped": 0, "messages": []}
