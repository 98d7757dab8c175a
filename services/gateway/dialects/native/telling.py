"""The bodies of this API's callbacks."""

from collections.abc import Iterator
from datetime import UTC, datetime

from libs.contracts.commands import MAX_CHUNK
from libs.contracts.content import WebhookContent
from libs.contracts.events import DeliverySettled, NotificationCompleted
from libs.wire import JsonValue, json_bytes
from services.gateway.translation import News

MAX_TOLD = MAX_CHUNK
# Deliveries to long URLs, for long reasons, would not fit in one body; they are cut in halves until they do.
MAX_BODY_BYTES = 200 * 1024


def tell(news: News) -> tuple[WebhookContent, ...]:
    """`delivery.settled` with up to 500 deliveries a body, `notification.completed` with the totals."""
    if isinstance(news, NotificationCompleted):
        return (WebhookContent(body=_completed(news).decode()),)
    return tuple(WebhookContent(body=body.decode()) for body in _settled(news, 0, len(news.delivery_ids)))


def _completed(news: NotificationCompleted) -> bytes:
    return json_bytes(
        {
            "type": news.TYPE,
            "notification_id": str(news.notification_id),
            "state": news.state.value,
            "planned": news.planned,
            "suppressed": news.suppressed,
            "counts": {state.value: count for state, count in sorted(news.counts.items())},
        }
    )


def _settled(news: DeliverySettled, low: int, high: int) -> Iterator[bytes]:
    if high - low <= MAX_TOLD:
        body = _body(news, low, high)
        if len(body) <= MAX_BODY_BYTES or high - low == 1:
            yield body
            return
    middle = (low + high) // 2
    yield from _settled(news, low, middle)
    yield from _settled(news, middle, high)


def _body(news: DeliverySettled, low: int, high: int) -> bytes:
    deliveries: list[JsonValue] = [_delivery(news, index) for index in range(low, high)]
    return json_bytes({"type": news.TYPE, "notification_id": str(news.notification_id), "deliveries": deliveries})


def _delivery(news: DeliverySettled, index: int) -> dict[str, JsonValue]:
    return {
        "id": str(news.delivery_ids[index]),
        "client_id": news.client_ids[index],
        "to": news.addresses[index],
        "state": news.states[index].value,
        "reason": news.reasons[index] or None,
        "at": _time(news.at[index]),
    }


def _time(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
