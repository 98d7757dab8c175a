"""Every service subscribes to exactly what the topic table says it consumes, with the handler of that name."""

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from libs.contracts.routing import Channel, Lane
from libs.contracts.topics import (
    AUDIENCE,
    DISPATCHER_SMS,
    DISPATCHER_VIBER,
    DISPATCHER_WEBHOOK,
    GATEWAY,
    INGEST,
    SCHEDULER,
    TOPICS,
    TRACKER,
    Topic,
)
from services.audience import app as audience
from services.audience.settings import AudienceSettings
from services.dispatchers import app as dispatchers
from services.dispatchers import dispatching
from services.dispatchers.repository import Owner
from services.dispatchers.route import Route
from services.dispatchers.sms.settings import SmsDispatcherSettings
from services.gateway import app as gateway
from services.ingest import app as ingest
from services.ingest.settings import IngestSettings
from services.scheduler import app as scheduler
from services.scheduler.settings import SchedulerSettings
from services.tracker import app as tracker

ANY: Any = None
LANES = tuple(Lane)


class RecordingBus:
    """Takes down who subscribes to what."""

    def __init__(self) -> None:
        self.handlers: dict[str, str] = {}

    def subscribe(self, topic: Any, handler: Callable[..., object], store: object, **options: object) -> None:
        for one in (topic,) if isinstance(topic, Topic) else topic:
            assert one.name not in self.handlers
            self.handlers[one.name] = cast("Any", handler).__name__

    async def publish(self, outgoing: object) -> None:
        raise AssertionError("wiring publishes nothing")

    def health(self) -> tuple[()]:
        return ()


def wire_dispatcher(bus: Any, channel: Channel) -> None:
    limits = dispatchers.limits_of(SmsDispatcherSettings.model_construct())
    one = dispatching.Dispatching(
        channel,
        database=ANY,
        routes=[Route("carrier", cast("Any", SimpleNamespace(name="carrier", batch=1)), dict.fromkeys(Lane, 1))],
        bus=bus,
        owner=Owner("1", uuid4()),
        limits=limits,
        now=lambda: datetime.now(UTC),
        partitions=dispatching.partitions_of(bus, channel),
    )
    dispatching.wire(bus, ANY, one, LANES)


WIRES: dict[str, Callable[[Any], object]] = {
    AUDIENCE: lambda bus: audience.wire(bus, ANY, ANY, AudienceSettings.model_construct()),
    DISPATCHER_SMS: lambda bus: wire_dispatcher(bus, Channel.SMS),
    DISPATCHER_VIBER: lambda bus: wire_dispatcher(bus, Channel.VIBER),
    DISPATCHER_WEBHOOK: lambda bus: wire_dispatcher(bus, Channel.WEBHOOK),
    GATEWAY: lambda bus: gateway.wire(bus, ANY),
    INGEST: lambda bus: ingest.wire(bus, ANY, IngestSettings.model_construct()),
    SCHEDULER: lambda bus: scheduler.wire(bus, ANY, SchedulerSettings.model_construct()),
    TRACKER: lambda bus: tracker.wire(bus, ANY),
}


def consumed_by(service: str) -> dict[str, str]:
    return {topic.name: f"on_{topic.message.TYPE.replace('.', '_')}" for topic in TOPICS if service in topic.consumers}


@pytest.mark.parametrize("service", WIRES)
def test_wiring_equals_the_topic_table(service: str) -> None:
    bus = RecordingBus()
    WIRES[service](bus)
    assert bus.handlers == consumed_by(service)


def test_every_consumer_of_the_table_is_wired() -> None:
    assert {consumer for topic in TOPICS for consumer in topic.consumers} == set(WIRES)
