"""The bus as the services see it: typed publish and subscribe, at least once."""

import asyncio
import itertools
import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker

from libs.bus.backoff import delay
from libs.bus.consuming import Worker
from libs.bus.creation import check_topics
from libs.bus.following import Following
from libs.bus.health import SubscriptionHealth, trouble
from libs.bus.producing import Producers
from libs.bus.prompt import PromptConsumer
from libs.bus.quiet import quieten
from libs.bus.records import C, Decode, Handler, M, Outgoing, Rejected, Transactions
from libs.bus.settings import BusSettings
from libs.bus.subscription import Subscription
from libs.contracts.failures import Unavailable
from libs.contracts.routing import Lane
from libs.contracts.topics import TOPICS, Topic

log = logging.getLogger(__name__)

GRACEFUL_SECONDS = 12.0
# FastStream writes a line per subscriber, start and message; what matters (a commit that failed) is CRITICAL.
_faststream_log = logging.getLogger("libs.bus.faststream")
_faststream_log.setLevel(logging.ERROR)


def name_of(topics: Sequence[Topic[M]]) -> str:
    """What a subscription is called: as its topic; of several, by what their names begin with in common, so that one
    more of the family does not rename it."""
    if len(topics) == 1:
        return topics[0].name
    words = zip(*(topic.name.split(".") for topic in topics), strict=False)
    shared = ".".join(one[0] for one in itertools.takewhile(lambda word: len(set(word)) == 1, words))
    if not shared:
        raise ValueError("topics of one subscription have names that begin alike")
    return shared


class Bus:
    """Everything a service says to Kafka and hears from it.

    `instance` is the replica's stable name: a replica that comes back under it finds its partitions waiting.
    """

    def __init__(self, settings: BusSettings, *, service: str, instance: str) -> None:
        quieten()
        self._settings = settings
        self._service = service
        self._member = f"{service}-{instance}"
        self._producers = Producers(settings, client_id=self._member)
        self._workers: list[Worker] = []
        self._began = time.monotonic()

    def subscribe(
        self,
        topic: Topic[M] | Sequence[Topic[M]],
        handler: Handler[M, C],
        store: Transactions[C],
        *,
        decode: Decode[M] | None = None,
        rejected: Rejected | None = None,
        max_records: int = 200,
        linger: timedelta = timedelta(0),
    ) -> None:
        """Handle the records of a topic, or of several with the same message, in batches of at most `max_records`; call
        it before `start`. `linger`: how long a batch that is not full waits for more, where nobody waits for what
        follows. Several topics share one consumer: each of its own costs Kafka some 0.4 % of a core for nothing.

        The handler runs inside the store's transaction; what it returns is published after the commit, and only then
        are the offsets committed. On the urgent lane events follow their commands by some 50 ms. `rejected` says what
        else to publish for a dead letter.
        """
        topics = (topic,) if isinstance(topic, Topic) else tuple(topic)
        name = name_of(topics)
        following = None
        if all(one.lane is Lane.URGENT for one in topics):
            following = Following(self.publish, failed=lambda error: worker.on_trouble(error))  # noqa: PLW0108 - made below
        subscription = Subscription(
            topics[0],
            handler,
            store,
            name=name,
            service=self._service,
            publish=self.publish,
            later=following.add if following else None,
            decode=decode,
            rejected=rejected,
        )
        worker = Worker(
            topics,
            subscription.process,
            self._settings,
            name=name,
            service=self._service,
            max_records=max_records,
            linger=linger,
            following=following,
        )
        self._workers.append(worker)

    async def start(self) -> None:
        """Connect and consume. Waits with back-off, and logs why, while Kafka is away or a topic is missing."""
        attempt = 0
        while True:
            try:
                await self._connect()
            except (Unavailable, KafkaError, OSError, TimeoutError) as error:
                reason = str(error) if isinstance(error, Unavailable) else type(error).__name__
                log.warning("the bus is not ready, trying again", extra={"reason": reason})
            else:
                self._began = time.monotonic()
                return
            await asyncio.sleep(delay(attempt))
            attempt += 1

    async def stop(self) -> None:
        """Finish the batches in flight, then leave. Bounded by about 20 s; what is not finished comes again."""
        await asyncio.gather(*(worker.stop() for worker in self._workers))
        await self._producers.stop()

    async def publish(self, outgoing: Sequence[Outgoing]) -> None:
        """Publish and await every acknowledgement, at most 10 s.

        Raises Unavailable when Kafka did not acknowledge all (some may have been written), Unpublishable for a message
        that Kafka will never take, ValueError for one that is not its topic's.
        """
        await self._producers.publish(outgoing)

    def health(self) -> Sequence[SubscriptionHealth]:
        """How each subscription stands."""
        return [worker.health() for worker in self._workers]

    async def check(self) -> None:
        """For readiness. Raises Unavailable naming every subscription that stands still, and why."""
        age = time.monotonic() - self._began
        problems = [f"{one.topic}: {reason}" for one in self.health() if (reason := trouble(one, age=age)) is not None]
        if problems:
            raise Unavailable("; ".join(problems))

    async def _connect(self) -> None:
        published = [topic for topic in TOPICS if self._service in topic.producers]
        await check_topics(
            self._settings, [*published, *(topic for worker in self._workers for topic in worker.topics)]
        )
        try:
            await self._producers.start((self._settings.topic_name(topic), topic.lane) for topic in published)
            if self._workers:
                await self._consume()
        except BaseException:
            await self._producers.stop()
            raise

    async def _consume(self) -> None:
        broker = KafkaBroker(
            self._settings.servers,
            client_id=self._member,
            consumer_only=True,  # our producers are our own: a client per lane, and a publish that costs a quarter
            allow_auto_create_topics=False,
            apply_types=False,
            graceful_timeout=GRACEFUL_SECONDS,
            logger=_faststream_log,
        )
        for worker in self._workers:
            worker.attach(broker, instance=self._member)
        options = (await broker.connect()).keywords  # type: ignore[attr-defined]
        by_group = {worker.group: worker for worker in self._workers}

        def consumer(**given: Any) -> PromptConsumer:
            return by_group[given["group_id"]].consumer(**{**options, **given})

        broker.config.broker_config.builder = consumer
        # One after the other, as broker.start() does it, a service with ten topics would take ten joins to start.
        started = await asyncio.gather(*(worker.start() for worker in self._workers), return_exceptions=True)
        failed = [error for error in started if error is not None]
        if failed:
            await asyncio.gather(*(worker.stop() for worker in self._workers))
            raise failed[0]
