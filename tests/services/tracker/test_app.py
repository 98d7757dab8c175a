"""The wiring is what the topic table says."""

from typing import Any, cast

from libs.bus import Bus
from libs.contracts.topics import TOPICS, TRACKER, Topic
from libs.storage import Store
from services.tracker.app import wire


class RecordingBus:
    """Notes what is subscribed to."""

    def __init__(self) -> None:
        self.topics: list[str] = []

    def subscribe(self, topic: Any, *_: object, **__: object) -> None:
        """Note it."""
        self.topics += [topic.name] if isinstance(topic, Topic) else [one.name for one in topic]


def test_the_tracker_consumes_what_the_table_gives_it() -> None:
    bus = RecordingBus()
    wire(cast("Bus", bus), cast("Store", None))
    assert sorted(bus.topics) == sorted(topic.name for topic in TOPICS if TRACKER in topic.consumers)
