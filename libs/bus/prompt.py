"""A consumer that hands over what is there at once, and tells of what FastStream's loop would sleep or spin over.

FastStream's batch subscriber sleeps after each empty poll and for five seconds after each error, and has no hook for
another way. It calls `getmany` and nothing else, so the hook is the consumer: this one waits for records as long as a
poll may take. Private names of aiokafka used here are pinned by tests/libs/bus/test_prompt.py.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError

from libs.bus.commits import Commits
from libs.bus.lenient import read_leniently

log = logging.getLogger(__name__)

POLL_MS = 1000
STOP_SECONDS = 3.0

Polled = Mapping[TopicPartition, Sequence["ConsumerRecord[bytes, bytes]"]]


class Watcher(Protocol):
    """Who wants to know how the consumer fares."""

    def on_idle(self, lag: int | None) -> None:
        """The last batch is done, its offsets committed or rewound; the next poll begins."""

    def on_polled(self, records: int) -> None:
        """A poll succeeded; so many records are handed over."""

    def on_trouble(self, error: Exception) -> None:
        """A poll failed: the consumer must be replaced."""

    def afterwards(self, done: Callable[[], None]) -> None:
        """Call `done` when everything that follows from what is done has left."""

    async def follow_up(self) -> None:
        """Return when everything that follows from what is done has left, and Kafka knows that it is done."""

    def give_up(self) -> None:
        """What has not left by now comes again."""


class PromptConsumer(AIOKafkaConsumer):  # type: ignore[misc]
    """An aiokafka consumer whose polls wait for records and are watched; one that failed ends FastStream's loop."""

    def __init__(self, watcher: Watcher, **options: Any) -> None:
        super().__init__(**options)
        self._watcher = watcher
        self._commits = Commits(super().commit, self.assignment)

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None) -> Polled:
        """What is there, or what comes within a second. `timeout_ms` is the caller's idea and not ours."""
        self._watcher.on_idle(self.lag())
        try:
            polled: Polled = await super().getmany(*partitions, timeout_ms=POLL_MS, max_records=max_records)
        except ConsumerStoppedError:
            raise
        except Exception as error:
            # What was drained from other partitions before it was raised is lost to us, but counts as consumed: the
            # next commit would pass over it. This consumer must not be polled or committed any more.
            if isinstance(error, UnicodeDecodeError):
                read_leniently()
            self._watcher.on_trouble(error)
            raise ConsumerStoppedError from error
        self._watcher.on_polled(sum(map(len, polled.values())))
        return polled

    async def commit(self, offsets: Mapping[TopicPartition, Any] | None = None) -> None:
        """Take down that everything handed over is done; Kafka hears of it within `COMMIT_SECONDS`."""
        if offsets is not None:
            await super().commit(offsets)
            return
        subscription = self._subscription.subscription
        if subscription is not None and subscription.assignment is not None:
            done = subscription.assignment.all_consumed_offsets()
            self._watcher.afterwards(lambda: self._commits.note(done))

    async def flush(self) -> None:
        """Commit now what is done, before the partitions go: what Kafka did not hear of is done again."""
        await self._commits.flush()
        self._commits.forget()

    def lag(self) -> int | None:
        """Records of the assigned partitions that were not handed over yet; none while nothing is known."""
        subscription = self._subscription.subscription
        if subscription is None or subscription.assignment is None:
            return None
        consumed = subscription.assignment.all_consumed_offsets()
        behind = [
            max(0, highwater - consumed[partition].offset)
            for partition in subscription.assignment.tps
            if partition in consumed and (highwater := self.highwater(partition)) is not None
        ]
        return sum(behind) if behind else None

    def answer_age(self) -> float | None:
        """Seconds since Kafka last answered a fetch; none when it never did."""
        answered = [
            stamp for partition in self.assignment() if (stamp := self.last_poll_timestamp(partition)) is not None
        ]
        return max(0.0, time.time() - max(answered) / 1000) if answered else None

    async def stop(self) -> None:
        """Leave, bounded: a Kafka that is away would hold the coordination task for ever."""
        if not await _bounded(self._watcher.follow_up()):
            self._watcher.give_up()
        self._commits.close()
        if await _bounded(super().stop()):
            return
        log.warning("a consumer is torn down, Kafka is away")
        for part in (self._coordinator, self._fetcher, self._client):
            if part is not None:
                await _bounded(part.close())


async def _bounded(closing: Awaitable[None]) -> bool:
    """Whether it ended in time and without an error.

    aiokafka's fetcher lets the cancellation of its own requests out of `close`; only one that was meant for us counts.
    """
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await closing
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return False
    except (KafkaError, TimeoutError):
        return False
    return True
