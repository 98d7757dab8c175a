"""A subscription on Kafka: FastStream's batch subscriber, when it backs off, drains, restarts and stops."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.exceptions import NackMessage
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage

from libs.bus.backoff import delay
from libs.bus.following import Following
from libs.bus.health import SubscriptionHealth
from libs.bus.parsing import timestamp_of
from libs.bus.prompt import PromptConsumer
from libs.bus.records import RawRecord
from libs.bus.settings import BusSettings
from libs.bus.subscription import TooManyDeadLetters
from libs.contracts.envelope import Message
from libs.contracts.failures import Unavailable
from libs.contracts.routing import Lane
from libs.contracts.topics import Topic
from libs.telemetry import metrics

log = logging.getLogger(__name__)

# A rebalance waits for the batch in flight; Kafka waits for us as long as REBALANCE_MS.
DRAIN_SECONDS = 25.0
REBALANCE_MS = 30_000
# A static member that comes back within its session finds its partitions waiting; one that does not come back keeps
# them from everybody for as long. Nobody waits half a minute for a password.
SESSION_MS = {Lane.URGENT: 10_000}
USUAL_SESSION_MS = 30_000
HEARTBEAT_MS = {Lane.URGENT: 1_000}
USUAL_HEARTBEAT_MS = 3_000
START_SECONDS = 60.0
FETCH_WAIT_MS = 500
# A consumer that lingers is woken at once by as much as a few chunks.
LINGER_BYTES = 64 * 1024

Process = Callable[[Sequence[RawRecord]], Awaitable[None]]


class Worker:
    """One subscription at work in this process."""

    def __init__(
        self,
        topics: Sequence[Topic[Message]],
        process: Process,
        settings: BusSettings,
        *,
        name: str,
        service: str,
        max_records: int,
        linger: timedelta = timedelta(0),
        following: Following | None = None,
    ) -> None:
        self.topics = topics
        self.name = name
        self._lane = topics[0].lane if len({topic.lane for topic in topics}) == 1 else None
        self._linger = linger
        self._following = following
        self.group = settings.group(service, name)
        self._own_names = {settings.topic_name(topic): topic.name for topic in topics}
        self._process = process
        self._max_records = max_records
        self._subscriber: Any = None
        self._consumer: PromptConsumer | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._hurry = asyncio.Event()
        self._stopping = False
        self._stopped: str | None = None
        self._failures = 0
        self._restarts = 0
        self._joined = False
        self._in_work = 0
        self._done_at: float | None = None
        self._work_since: float | None = None
        self._troubles = 0
        self._repair: asyncio.Task[None] | None = None

    # --- life

    def attach(self, broker: KafkaBroker, *, instance: str) -> None:
        """Declare the subscriber on a FastStream broker."""
        self._stopping = False
        self._hurry.clear()
        lane = self._lane
        self._subscriber = broker.subscriber(
            *self._own_names,
            batch=True,
            max_records=self._max_records,
            batch_timeout_ms=1,  # PromptConsumer does the waiting; this is FastStream's sleep after an empty poll
            group_id=self.group,
            group_instance_id=instance,
            ack_policy=AckPolicy.NACK_ON_ERROR,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=SESSION_MS.get(lane, USUAL_SESSION_MS) if lane else USUAL_SESSION_MS,
            heartbeat_interval_ms=HEARTBEAT_MS.get(lane, USUAL_HEARTBEAT_MS) if lane else USUAL_HEARTBEAT_MS,
            rebalance_timeout_ms=REBALANCE_MS,
            max_poll_interval_ms=300_000,
            # Kafka itself waits for more: a lone record wakes neither side.
            fetch_min_bytes=LINGER_BYTES if self._linger else 1,
            fetch_max_wait_ms=int(self._linger.total_seconds() * 1000) or FETCH_WAIT_MS,
            fetch_max_bytes=8 * 1024 * 1024,
            max_partition_fetch_bytes=(256 if lane is Lane.URGENT else 1024) * 1024,
            listener=_Drain(self),
            parser=self._parsed,
            decoder=_undecoded,
            no_reply=True,
        )
        self._subscriber(self._handle)

    def consumer(self, **options: Any) -> PromptConsumer:
        """The consumer that FastStream asks for when it starts the subscriber."""
        if self._following is not None:
            self._following.open()
        self._consumer = PromptConsumer(self, **options)
        return self._consumer

    async def start(self) -> None:
        """Join the group. Raises KafkaError or TimeoutError; then nothing is left running."""
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._subscriber.start()
        except BaseException:
            await self._subscriber.stop()
            raise

    async def stop(self) -> None:
        """Finish the batch in flight (bounded by the broker's graceful_timeout), then leave."""
        self._stopping = True
        self._hurry.set()
        if self._repair is not None:
            if self._stopped is None:
                self._repair.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._repair
        if self._subscriber is not None:
            await self._subscriber.stop()
        self._consumer = None
        self._joined = False

    def health(self) -> SubscriptionHealth:
        """How it stands now."""
        consumer, now = self._consumer, time.monotonic()
        assigned = sorted(partition.partition for partition in consumer.assignment()) if consumer else ()
        answered = consumer.answer_age() if consumer else None
        since_work = None if self._done_at is None else now - self._done_at
        lag = consumer.lag() if consumer else None
        ages = [age for age in (answered, since_work) if age is not None]
        return SubscriptionHealth(
            topic=self.name,
            assigned=tuple(assigned),
            lag=None if lag is None else lag + self._in_work,
            poll_age=min(ages) if ages else None,
            work_age=None if self._work_since is None else now - self._work_since,
            restarts=self._restarts,
            stopped=self._stopped,
            joined=self._joined,
        )

    # --- a batch

    def _parsed(self, records: "tuple[ConsumerRecord[bytes, bytes], ...]") -> KafkaAckableMessage:
        """FastStream's envelope round a batch. Its own parser decodes headers and fails on the first odd one, and what
        it fails on is skipped and committed."""
        return KafkaAckableMessage(
            body=records, raw_message=records, headers={}, batch_headers=[], consumer=self._subscriber.consumer
        )

    async def _handle(self, records: "Sequence[ConsumerRecord[bytes, bytes]]") -> None:
        try:
            await self._process([self._raw(record) for record in records])
        except TooManyDeadLetters as verdict:
            self._give_up(str(verdict))
            raise NackMessage from verdict
        except Exception as error:
            await self._back_off(error)
            raise NackMessage from error
        self._failures = 0

    def _raw(self, record: "ConsumerRecord[bytes, bytes]") -> RawRecord:
        return RawRecord(
            topic=self._own_names[record.topic],
            partition=record.partition,
            offset=record.offset,
            timestamp=timestamp_of(record.timestamp),
            key=record.key,
            value=record.value,
            headers=tuple(record.headers),
        )

    async def _back_off(self, error: Exception) -> None:
        seconds = delay(self._failures)
        self._failures += 1
        metrics.BUS_REWINDS.labels(self.name).inc()
        level = logging.WARNING if isinstance(error, Unavailable) else logging.ERROR
        cause = error.__cause__ or error
        log.log(
            level,
            "a batch must come again",
            extra={"topic": self.name, "error": type(cause).__name__, "in_seconds": round(seconds, 2)},
        )
        # A stop or a rebalance does not wait for the end of a back-off.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()

    def _give_up(self, reason: str) -> None:
        self._stopped = reason
        metrics.BUS_STOPPED.labels(self.name).set(1)
        log.critical("a consumer stopped for good", extra={"topic": self.name, "reason": reason})
        # From inside the batch it cannot be stopped: stopping waits for the batch.
        self._repair = asyncio.create_task(self._subscriber.stop())

    # --- what the consumer tells

    def on_idle(self, lag: int | None) -> None:
        """See Watcher."""
        if self._work_since is not None:
            self._done_at, self._work_since, self._in_work = time.monotonic(), None, 0
        self._idle.set()
        if lag is not None:
            metrics.BUS_LAG.labels(self.name).set(lag)

    def on_polled(self, records: int) -> None:
        """See Watcher."""
        self._troubles = 0
        if not records:
            return
        self._work_since, self._in_work = time.monotonic(), records
        self._idle.clear()

    def on_trouble(self, error: Exception) -> None:
        """See Watcher."""
        about = {"topic": self.name, "error": type(error).__name__}
        log.error("a poll failed, the consumer is replaced", extra=about)
        if not self._stopping and (self._repair is None or self._repair.done()):
            self._repair = asyncio.create_task(self._replace())

    async def drained(self) -> None:
        """Return when the batch in flight is done, its offsets committed or rewound; bounded."""
        self._joined = False
        self._hurry.set()
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._idle.wait()
                await self.follow_up()
        except TimeoutError:
            log.warning("a rebalance did not wait for the batch in flight", extra={"topic": self.name})

    def afterwards(self, done: Callable[[], None]) -> None:
        """See Watcher."""
        if self._following is None:
            done()
        else:
            self._following.afterwards(done)

    async def follow_up(self) -> None:
        """See Watcher."""
        if self._following is not None:
            await self._following.finish()
        if self._consumer is not None:
            await self._consumer.flush()

    def give_up(self) -> None:
        """See Watcher."""
        if self._following is not None:
            self._following.close()

    def on_assigned(self) -> None:
        """The rebalance is over."""
        self._joined = True
        if not self._stopping:
            self._hurry.clear()

    async def _replace(self) -> None:
        """A new consumer in the place of one that failed; as a static member it has its partitions back at once."""
        while not self._stopping:
            await asyncio.sleep(delay(self._troubles))
            self._troubles += 1
            self._restarts += 1
            metrics.BUS_RESTARTS.labels(self.name).inc()
            try:
                await self._subscriber.stop()
                await self.start()
            except (KafkaError, OSError, TimeoutError) as error:
                about = {"topic": self.name, "error": type(error).__name__}
                log.warning("a consumer did not start", extra=about)
            else:
                return


class _Drain(ConsumerRebalanceListener):  # type: ignore[misc]
    """aiokafka awaits it before it joins again, and goes on with heartbeats meanwhile."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Let the batch in flight end, so that its offsets count."""
        await self._worker.drained()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Work may be slow again."""
        self._worker.on_assigned()


async def _undecoded(message: KafkaAckableMessage) -> Any:
    return message.body
