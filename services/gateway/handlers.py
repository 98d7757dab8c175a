"""Message in, messages out: what became of a notification goes back to its caller."""

import asyncio
from collections.abc import Sequence

from libs.bus import Effect, Outgoing, Received
from libs.contracts.events import DeliverySettled, NotificationCompleted
from libs.contracts.topics import SEND_NOTIFICATION
from libs.storage import Connection
from libs.telemetry import metrics
from services.gateway.callbacks import calls
from services.gateway.translation import News


async def on_delivery_settled(received: Sequence[Received[DeliverySettled]], connection: Connection) -> Effect:
    """Tell callers which deliveries are over."""
    return await _told([record.message for record in received])


async def on_notification_completed(
    received: Sequence[Received[NotificationCompleted]], connection: Connection
) -> Effect:
    """Tell callers that nothing more will come."""
    return await _told([record.message for record in received])


async def _told(messages: Sequence[News]) -> Effect:
    """Nothing is written down: the commands follow from the events alone."""
    outgoing: list[Outgoing] = []
    for news in messages:
        commands = list(calls(news))
        outgoing += [Outgoing(SEND_NOTIFICATION.bulk, command) for command in commands]
        metrics.GATEWAY_TOLD.labels(news.callback.dialect).inc(len(commands))
        await asyncio.sleep(0)  # the calls that came meanwhile go first
    return Effect(publish=outgoing)
