"""Builders for the scheduler's tests."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from libs.bus import Outgoing, Received
from libs.contracts.audience import ClientIds
from libs.contracts.commands import ControlAction, ControlNotification
from libs.contracts.content import SmsContent
from libs.contracts.events import NotificationAccepted
from libs.contracts.failures import Unavailable
from libs.contracts.ids import event_id, new_notification_id
from libs.contracts.notification import Notification
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.storage import Database
from services.scheduler.controlling import Controller
from services.scheduler.release import Releaser, Rules
from services.scheduler.repository import ControlRepository, WaitingRepository

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
HOUR = timedelta(hours=1)
LATE = timedelta(minutes=30)
LEASE = timedelta(seconds=30)


def now() -> datetime:
    return datetime.now(UTC)


def notification(**changes: Any) -> Notification:
    values: dict[str, Any] = {
        "notification_id": new_notification_id(now()),
        "lane": Lane.BULK,
        "channel": Channel.SMS,
        "to": ClientIds(client_ids=(17,)),
        "content": SmsContent(text="hello"),
        "message_class": MessageClass.TRANSACTIONAL,
        "at": now() + HOUR,
    }
    return Notification(**{**values, **changes})


def accepted(one: Notification | None = None, *, waits: bool = True, tenant: str = "demo") -> NotificationAccepted:
    one = one or notification()
    return NotificationAccepted(
        event_id=event_id(one.notification_id, "notification.accepted", 0),
        tenant=tenant,
        key=str(one.notification_id),
        occurred_at=now(),
        notification=one,
        dialect="native",
        waits=waits,
    )


def received(*events: NotificationAccepted) -> list[Received[NotificationAccepted]]:
    return [
        Received(event, "notification.accepted", 0, offset, event.occurred_at, TRACEPARENT)
        for offset, event in enumerate(events)
    ]


def control(one: Notification | UUID, action: ControlAction, **given: Any) -> ControlNotification:
    identity = one.notification_id if isinstance(one, Notification) else one
    values: dict[str, Any] = {
        "event_id": uuid4(),
        "tenant": "demo",
        "key": str(identity),
        "occurred_at": now(),
        "notification_id": identity,
        "action": action,
    }
    return ControlNotification(**{**values, **given})


def ordered(*commands: ControlNotification) -> list[Received[ControlNotification]]:
    return [
        Received(command, "control.notification.urgent", 0, offset, command.occurred_at, TRACEPARENT)
        for offset, command in enumerate(commands)
    ]


def controller() -> Controller:
    return Controller(WaitingRepository(), ControlRepository())


class Recorder:
    """A bus that keeps what is published after it failed `failures` times."""

    def __init__(self, failures: int = 0) -> None:
        self.outgoing: list[Outgoing] = []
        self.failures = failures
        self.something = asyncio.Event()

    async def publish(self, outgoing: Sequence[Outgoing]) -> None:
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise Unavailable("no acknowledgement in time")
        self.outgoing += outgoing
        self.something.set()

    @property
    def ids(self) -> list[Any]:
        return [one.message.event_id for one in self.outgoing]


RULES = Rules(owner="1", lease=LEASE, longest_pause=timedelta(seconds=20), grace=HOUR, batch=200)


def releaser(database: Database, bus: Recorder, **changes: Any) -> Releaser:
    rules = Rules(**{**{name: getattr(RULES, name) for name in Rules.__slots__}, **changes})
    return Releaser(database, WaitingRepository(), controller(), bus.publish, rules)


async def states(database: Database) -> dict[str, int]:
    """How many stand where; "firing": taken, and not known to be with Kafka."""
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT state, count(*) FROM scheduler.waiting GROUP BY state")
        firing = await connection.fetchval("SELECT coalesce(sum(cardinality(tenants)), 0) FROM scheduler.claim")
    counts = {row["state"]: row["count"] for row in rows}
    counts |= {"firing": firing, "fired": counts.get("fired", 0) - firing}
    return {state: count for state, count in counts.items() if count}
