"""What a caller who asked for it is told, as a notification like any other: on the webhook channel, in the words of the
API that the caller came by, and asking for no callback itself."""

from collections.abc import Iterator

from libs.contracts.audience import Addresses
from libs.contracts.commands import SendNotification
from libs.contracts.content import WebhookContent
from libs.contracts.ids import derived_notification_id, event_id
from libs.contracts.notification import Notification, order_key
from libs.contracts.routing import Channel, Lane, MessageClass
from services.gateway.dialects import DIALECTS
from services.gateway.translation import News


def calls(news: News) -> Iterator[SendNotification]:
    """The commands that `news` leads to, the same each time. What is said of one notification goes in order."""
    for ordinal, content in enumerate(DIALECTS[news.callback.dialect].tell(news)):
        yield _call(news, content, ordinal)


def _call(news: News, content: WebhookContent, ordinal: int) -> SendNotification:
    cause = event_id(news.event_id, SendNotification.TYPE, ordinal)
    notification = Notification(
        notification_id=derived_notification_id(news.occurred_at, cause),
        lane=Lane.BULK,
        channel=Channel.WEBHOOK,
        to=Addresses(addresses=(news.callback.url,)),
        content=content,
        message_class=MessageClass.WEBHOOK,
        ordering_key=f"callback:{news.notification_id}",
    )
    return SendNotification(
        event_id=cause,
        tenant=news.tenant,
        key=order_key(notification),
        occurred_at=news.occurred_at,
        causation_id=news.event_id,
        dialect=news.callback.dialect,
        notifications=(notification,),
    )
