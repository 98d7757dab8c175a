"""Dead letters back to where they came from: the same bytes, key and headers, on the same partition."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from libs.bus.failures import Unpublishable
from libs.bus.producing import MAX_RECORD_BYTES, NEVER_PUBLISHABLE, PUBLISH_SECONDS, forget, new_client, stop_client
from libs.bus.settings import BusSettings
from libs.contracts.dead_letters import DeadLetter
from libs.contracts.failures import Unavailable
from libs.contracts.topics import TOPICS

_BY_NAME = {topic.name: topic for topic in TOPICS}


class Resender:
    """A client that writes records as they were. Every group that reads the topic gets them again; what they lead to
    has the same event ids, so whoever had dealt with them absorbs them."""

    def __init__(self, settings: BusSettings) -> None:
        self._settings = settings
        self._client: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect. Raises Unavailable."""
        client = new_client(self._settings, client_id="redrive", linger_ms=0, max_batch_size=MAX_RECORD_BYTES)
        try:
            await client.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await stop_client(client)
            raise Unavailable(f"Kafka does not answer: {type(error).__name__}") from error
        self._client = client

    async def stop(self) -> None:
        """Close, bounded."""
        if self._client is not None:
            await stop_client(self._client)
            self._client = None

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """Write all and await every acknowledgement, at most 10 s. Raises Unavailable (some may have been written) and
        Unpublishable."""
        acknowledgements: list[asyncio.Future[object]] = []
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                for letter in letters:
                    acknowledgements.append(await self._hand_over(letter))  # noqa: PERF401
                await asyncio.gather(*acknowledgements)
        except NEVER_PUBLISHABLE as error:
            raise Unpublishable(f"Kafka does not take a letter: {type(error).__name__}") from error
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unavailable(f"Kafka did not acknowledge: {type(error).__name__}") from error
        finally:
            for acknowledgement in acknowledgements:
                forget(acknowledgement)

    async def _hand_over(self, letter: DeadLetter) -> "asyncio.Future[object]":
        if self._client is None:
            raise RuntimeError("the resender is not started")
        # A batch of its own: send() refuses a record that has neither key nor value.
        batch = self._client.create_batch()
        written = batch.append(
            timestamp=timestamp_for(letter, datetime.now(UTC)),
            key=letter.key,
            value=letter.value,
            headers=list(letter.headers),
        )
        if written is None:
            raise Unpublishable(f"the record of {letter.topic}[{letter.partition}]@{letter.offset} is too large")
        batch.close()
        name = self._settings.topic_name(_BY_NAME[letter.topic])
        try:
            acknowledgement: asyncio.Future[object] = await self._client.send_batch(
                batch, name, partition=letter.partition
            )
        except AssertionError as error:
            raise Unavailable(f"{name} has no partition {letter.partition} in Kafka") from error
        return acknowledgement


def timestamp_for(letter: DeadLetter, now: datetime) -> int | None:
    """Milliseconds: the record's own time, since services take it for the time of the request. Kafka deletes by it, so
    it is at most half of what the topic keeps in the past. None (now) where it is not known."""
    if letter.recorded_at is None:
        return None
    oldest = now - _BY_NAME[letter.topic].retention / 2
    return round(max(letter.recorded_at, oldest).timestamp() * 1000)
