"""What became of a notification, as notifications to its caller: the same each time."""

from dataclasses import dataclass

import pytest

from libs.contracts.audience import Addresses
from libs.contracts.ids import created_at, is_notification_id
from libs.contracts.routing import Channel, Lane, MessageClass
from services.gateway.callbacks import calls
from services.gateway.handlers import on_delivery_settled
from tests.services.gateway.dialects.test_native_telling import NOW, settled


def test_a_callback_is_an_ordinary_notification_that_asks_for_none() -> None:
    news = settled(2)
    (command,) = calls(news)
    (only,) = command.notifications
    assert (command.tenant, command.dialect, command.causation_id) == ("demo", "native", news.event_id)
    assert (only.channel, only.lane, only.message_class) == (Channel.WEBHOOK, Lane.BULK, MessageClass.WEBHOOK)
    assert only.to == Addresses(addresses=("https://hooks.example.com/a",))
    assert only.callback is None
    assert is_notification_id(only.notification_id)
    assert abs(created_at(only.notification_id) - NOW).total_seconds() < 0.002


def test_redelivered_news_is_the_same_command() -> None:
    news = settled(501)
    first, second = list(calls(news)), list(calls(news))
    assert first == second
    assert len({one.event_id for one in first}) == len({one.notifications[0].notification_id for one in first}) == 2
    assert len({one.key for one in first}) == 1


def test_other_news_is_another_notification() -> None:
    news = settled(1)
    other = news.model_copy(update={"event_id": settled(1).event_id})
    assert next(calls(news)).notifications[0].notification_id != next(calls(other)).notifications[0].notification_id


@dataclass
class Arrived:
    message: object


async def test_one_dialect_that_nobody_speaks_any_more_fails_loudly() -> None:
    news = settled(1)
    lost = news.model_copy(update={"callback": news.callback.model_copy(update={"dialect": "forgotten"})})
    with pytest.raises(KeyError):
        await on_delivery_settled([Arrived(lost)], None)  # type: ignore[list-item,arg-type]


async def test_an_api_without_callbacks_says_nothing() -> None:
    news = settled(1)
    silent = news.model_copy(update={"callback": news.callback.model_copy(update={"dialect": "altegio"})})
    effect = await on_delivery_settled([Arrived(silent), Arrived(news)], None)  # type: ignore[list-item,arg-type]
    assert [one.topic.name for one in effect.publish] == ["send.notification.bulk"]
