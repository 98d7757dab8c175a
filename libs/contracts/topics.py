"""The topic table: the only place where topics are named.

Topic creation, the README's picture and the wiring test come from it. Noun first is an event, verb first a command;
every command exists once per lane.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from libs.contracts.commands import ControlNotification, ExpandAudience, SendDeliveries, SendNotification
from libs.contracts.envelope import Message
from libs.contracts.events import (
    DeliveryAttempted,
    DeliverySettled,
    DeliverySuppressed,
    NotificationAccepted,
    NotificationCompleted,
    NotificationControlled,
    NotificationExpanded,
    NotificationRejected,
    ReceiptReceived,
)
from libs.contracts.routing import Channel, Lane

M_co = TypeVar("M_co", bound=Message, covariant=True)

# Twenty-four from the start: the number of a topic's partitions decides which recipient goes where for ever.
BULK_PARTITIONS = 24
URGENT_PARTITIONS = 6
EVENT_PARTITIONS = 6
COMMAND_RETENTION = timedelta(days=7)
CHUNK_RETENTION = timedelta(days=3)  # a dispatcher stages what it reads at once

GATEWAY = "gateway"
INGEST = "ingest"
AUDIENCE = "audience"
SCHEDULER = "scheduler"
TRACKER = "tracker"
DISPATCHER_SMS = "dispatcher-sms"
DISPATCHER_VIBER = "dispatcher-viber"
DISPATCHER_WEBHOOK = "dispatcher-webhook"
DISPATCHERS = (DISPATCHER_SMS, DISPATCHER_VIBER, DISPATCHER_WEBHOOK)
INTERNAL_PRODUCERS = "internal producers"


@dataclass(frozen=True)
class Topic(Generic[M_co]):
    """One Kafka topic: what is on it, who writes and who reads it."""

    name: str
    message: type[M_co]
    key: str
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    partitions: int = EVENT_PARTITIONS
    retention: timedelta = COMMAND_RETENTION
    lane: Lane | None = None


@dataclass(frozen=True)
class Lanes(Generic[M_co]):
    """A command's two topics."""

    urgent: Topic[M_co]
    bulk: Topic[M_co]

    def __getitem__(self, lane: Lane) -> Topic[M_co]:
        return self.urgent if lane is Lane.URGENT else self.bulk

    def __iter__(self) -> Iterator[Topic[M_co]]:
        return iter((self.urgent, self.bulk))


def _lanes(
    name: str,
    message: type[M_co],
    *,
    key: str,
    producers: tuple[str, ...],
    consumers: tuple[str, ...],
    retention: timedelta = COMMAND_RETENTION,
) -> Lanes[M_co]:
    def topic(lane: Lane, partitions: int) -> Topic[M_co]:
        return Topic(f"{name}.{lane}", message, key, producers, consumers, partitions, retention, lane)

    return Lanes(topic(Lane.URGENT, URGENT_PARTITIONS), topic(Lane.BULK, BULK_PARTITIONS))


ORDERING_KEY = "ordering key, else the single recipient, else the notification"
NOTIFICATION = "notification"

SEND_NOTIFICATION = _lanes(
    "send.notification",
    SendNotification,
    key=ORDERING_KEY,
    producers=(GATEWAY, INTERNAL_PRODUCERS),
    consumers=(INGEST,),
)
CONTROL_NOTIFICATION = _lanes(
    "control.notification",
    ControlNotification,
    key=NOTIFICATION,
    producers=(GATEWAY,),
    consumers=(SCHEDULER,),
)
EXPAND_AUDIENCE = _lanes(
    "expand.audience",
    ExpandAudience,
    key=ORDERING_KEY,
    producers=(INGEST, SCHEDULER, AUDIENCE, TRACKER),
    consumers=(AUDIENCE,),
)


def _chunks(channel: Channel, dispatcher: str) -> Lanes[SendDeliveries]:
    return _lanes(
        f"send.{channel}",
        SendDeliveries,
        key="partition of the recipients",
        producers=(AUDIENCE,),
        consumers=(dispatcher, TRACKER),
        retention=CHUNK_RETENTION,
    )


SEND_SMS = _chunks(Channel.SMS, DISPATCHER_SMS)
SEND_VIBER = _chunks(Channel.VIBER, DISPATCHER_VIBER)
SEND_WEBHOOK = _chunks(Channel.WEBHOOK, DISPATCHER_WEBHOOK)
SEND: dict[Channel, Lanes[SendDeliveries]] = {
    Channel.SMS: SEND_SMS,
    Channel.VIBER: SEND_VIBER,
    Channel.WEBHOOK: SEND_WEBHOOK,
}

NOTIFICATION_ACCEPTED = Topic(
    "notification.accepted", NotificationAccepted, NOTIFICATION, (INGEST,), (SCHEDULER, TRACKER)
)
NOTIFICATION_REJECTED = Topic("notification.rejected", NotificationRejected, NOTIFICATION, (INGEST,), (TRACKER,))
NOTIFICATION_EXPANDED = Topic("notification.expanded", NotificationExpanded, NOTIFICATION, (AUDIENCE,), (TRACKER,))
DELIVERY_SUPPRESSED = Topic("delivery.suppressed", DeliverySuppressed, NOTIFICATION, (AUDIENCE,), (TRACKER,))
NOTIFICATION_CONTROLLED = Topic(
    "notification.controlled",
    NotificationControlled,
    NOTIFICATION,
    (SCHEDULER,),
    (AUDIENCE, *DISPATCHERS, TRACKER),
)
DELIVERY_ATTEMPTED = Topic("delivery.attempted", DeliveryAttempted, "chunk", DISPATCHERS, (TRACKER,))
RECEIPT_RECEIVED = Topic(
    "receipt.received", ReceiptReceived, "provider message id", (DISPATCHER_SMS, DISPATCHER_VIBER), (TRACKER,)
)
DELIVERY_SETTLED = Topic("delivery.settled", DeliverySettled, NOTIFICATION, (TRACKER,), (GATEWAY,))
NOTIFICATION_COMPLETED = Topic("notification.completed", NotificationCompleted, NOTIFICATION, (TRACKER,), (GATEWAY,))

TOPICS: tuple[Topic[Message], ...] = (
    *SEND_NOTIFICATION,
    *CONTROL_NOTIFICATION,
    *EXPAND_AUDIENCE,
    *(topic for lanes in SEND.values() for topic in lanes),
    NOTIFICATION_ACCEPTED,
    NOTIFICATION_REJECTED,
    NOTIFICATION_CONTROLLED,
    NOTIFICATION_EXPANDED,
    DELIVERY_SUPPRESSED,
    DELIVERY_ATTEMPTED,
    RECEIPT_RECEIVED,
    DELIVERY_SETTLED,
    NOTIFICATION_COMPLETED,
)
