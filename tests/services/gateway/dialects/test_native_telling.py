"""The native API's callbacks, byte by byte."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from libs.contracts.content import INLINE_LIMIT_BYTES
from libs.contracts.events import DeliverySettled, NotificationCompleted
from libs.contracts.ids import NotificationId, delivery_id, new_notification_id
from libs.contracts.notification import Callback
from libs.contracts.states import DeliveryState, NotificationState
from services.gateway.dialects.native import Native

NOW = datetime(2026, 11, 22, 9, 30, 0, 123456, tzinfo=UTC)
CALLBACK = Callback(url="https://hooks.example.com/a", dialect="native")


def settled(count: int, *, address: str = "+48600100200", number: NotificationId | None = None) -> DeliverySettled:
    about = number or new_notification_id(NOW)
    return DeliverySettled(
        event_id=uuid4(),
        tenant="demo",
        key=str(about),
        occurred_at=NOW,
        notification_id=about,
        callback=CALLBACK,
        delivery_ids=tuple(delivery_id(about, ordinal) for ordinal in range(count)),
        client_ids=tuple(range(count)),
        addresses=(address,) * count,
        states=(DeliveryState.CARRIER_REJECTED,) * count,
        reasons=("invalid_number",) * count,
        at=(NOW,) * count,
    )


def completed(number: NotificationId | None = None) -> NotificationCompleted:
    about = number or new_notification_id(NOW)
    return NotificationCompleted(
        event_id=uuid4(),
        tenant="demo",
        key=str(about),
        occurred_at=NOW + timedelta(seconds=1),
        notification_id=about,
        callback=CALLBACK,
        state=NotificationState.DONE,
        planned=3,
        suppressed=1,
        counts={DeliveryState.DELIVERED: 2, DeliveryState.CARRIER_REJECTED: 1},
    )


def test_a_delivery_that_is_over() -> None:
    news = settled(1)
    (content,) = Native().tell(news)
    delivery = (
        f'{{"id":"{news.delivery_ids[0]}","client_id":0,"to":"+48600100200","state":"carrier_rejected",'
        '"reason":"invalid_number","at":"2026-11-22T09:30:00.123Z"}'
    )
    about = f'"notification_id":"{news.notification_id}"'
    assert content.body == f'{{"type":"delivery.settled",{about},"deliveries":[{delivery}]}}'
    assert content.content_type == "application/json"


def test_what_is_not_known_is_null() -> None:
    news = settled(1).model_copy(
        update={"client_ids": (None,), "addresses": (None,), "reasons": ("",), "states": (DeliveryState.DELIVERED,)}
    )
    (delivery,) = json.loads(Native().tell(news)[0].body)["deliveries"]
    assert (delivery["client_id"], delivery["to"], delivery["reason"]) == (None, None, None)


def test_a_notification_that_is_over() -> None:
    news = completed()
    (content,) = Native().tell(news)
    assert json.loads(content.body) == {
        "type": "notification.completed",
        "notification_id": str(news.notification_id),
        "state": "done",
        "planned": 3,
        "suppressed": 1,
        "counts": {"carrier_rejected": 1, "delivered": 2},
    }


@pytest.mark.parametrize(
    ("count", "address", "bodies"), [(500, "+48600100200", 1), (501, "+48600100200", 2), (500, "https://x/" * 200, 8)]
)
def test_no_body_is_too_large_and_none_is_forgotten(count: int, address: str, bodies: int) -> None:
    news = settled(count, address=address)
    contents = Native().tell(news)
    assert len(contents) == bodies
    told = [delivery["id"] for content in contents for delivery in json.loads(content.body)["deliveries"]]
    assert told == [str(one) for one in news.delivery_ids]
    assert all(len(content.body.encode()) <= INLINE_LIMIT_BYTES for content in contents)
    assert Native().tell(news) == contents
