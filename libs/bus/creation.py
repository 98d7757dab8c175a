"""Creates what the topic table names: `python -m libs.bus.creation`."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from libs.bus.backoff import delay
from libs.bus.producing import MAX_RECORD_BYTES
from libs.bus.settings import BusSettings
from libs.contracts.envelope import Message
from libs.contracts.failures import Unavailable
from libs.contracts.topics import TOPICS, Topic
from libs.settings import load

log = logging.getLogger(__name__)

REQUEST_TIMEOUT_MS = 15_000
VISIBLE_SECONDS = 15.0


class WrongPartitions(Exception):  # noqa: N818 - a fact about the cluster
    """A topic exists with another number of partitions than the table says: changing it is a drain, not a command."""


async def create_topics(
    settings: BusSettings, topics: Iterable[Topic[Message]] = TOPICS, replication: int = 1
) -> Sequence[str]:
    """Create the topics that are missing and wait until Kafka shows them; returns their names as Kafka knows them.

    Existing topics are left as they are. Raises Unavailable, and WrongPartitions when one exists with another number.
    """
    wanted = {settings.topic_name(topic): topic for topic in topics}
    try:
        async with asyncio.timeout(2 * VISIBLE_SECONDS), _Admin(settings) as admin:
            existing = await _partitions(admin)
            missing = {name: topic for name, topic in wanted.items() if name not in existing}
            if missing:
                created = await _create(admin, missing, replication)
                existing = await _visible(admin, wanted)
            else:
                created = []
    except (KafkaError, OSError, TimeoutError) as error:
        raise Unavailable(f"Kafka did not create the topics: {type(error).__name__}") from error
    wrong = [name for name, topic in wanted.items() if existing[name] != topic.partitions]
    if wrong:
        raise WrongPartitions(f"other numbers of partitions than in the topic table: {', '.join(sorted(wrong))}")
    return created


async def check_topics(settings: BusSettings, topics: Iterable[Topic[Message]]) -> None:
    """Raises Unavailable while Kafka is away or one of the topics is missing or has too few partitions.

    aiokafka would wait 40 s for a missing topic and then say nothing of which.
    """
    wanted = {settings.topic_name(topic): topic for topic in topics}
    try:
        async with asyncio.timeout(VISIBLE_SECONDS), _Admin(settings) as admin:
            existing = await _partitions(admin)
    except (KafkaError, OSError, TimeoutError) as error:
        raise Unavailable(f"Kafka at {settings.bootstrap_servers} does not answer: {type(error).__name__}") from error
    missing = sorted(name for name in wanted if name not in existing)
    if missing:
        raise Unavailable(f"topics are missing (python -m libs.bus.creation): {', '.join(missing)}")
    small = sorted(name for name, topic in wanted.items() if existing[name] < topic.partitions)
    if small:
        raise Unavailable(f"topics have fewer partitions than the topic table says: {', '.join(small)}")


class _Admin:
    """An admin client that is closed whatever happens to its start."""

    def __init__(self, settings: BusSettings) -> None:
        self._client = AIOKafkaAdminClient(
            bootstrap_servers=settings.servers, client_id="creation", request_timeout_ms=REQUEST_TIMEOUT_MS
        )

    async def __aenter__(self) -> Any:
        try:
            await self._client.start()
        except BaseException:
            await self._client.close()
            raise
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()


async def _partitions(admin: Any) -> Mapping[str, int]:
    names = await admin.list_topics()
    described = await admin.describe_topics(names) if names else []
    return {topic["topic"]: len(topic["partitions"]) for topic in described if not topic["error_code"]}


async def _create(admin: Any, missing: Mapping[str, Topic[Message]], replication: int) -> Sequence[str]:
    answer = await admin.create_topics(
        [
            NewTopic(name, topic.partitions, replication, topic_configs=_configuration(topic))
            for name, topic in missing.items()
        ]
    )
    created = []
    # Errors come per topic in the answer; nothing is raised.
    for name, code, *_ in answer.topic_errors:
        kind = for_code(code)
        if code == 0:
            created.append(name)
        elif kind is not TopicAlreadyExistsError:
            raise kind(name)
    return created


async def _visible(admin: Any, wanted: Mapping[str, Topic[Message]]) -> Mapping[str, int]:
    while True:
        existing = await _partitions(admin)
        if all(existing.get(name) for name in wanted):
            return existing
        await asyncio.sleep(0.05)


def _configuration(topic: Topic[Message]) -> dict[str, str]:
    """By time, never by size: retention is a loss mechanism, and an accepted command exists only here."""
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(round(topic.retention.total_seconds() * 1000)),
        "retention.bytes": "-1",
        "max.message.bytes": str(MAX_RECORD_BYTES),
    }


async def _create_patiently(settings: BusSettings, replication: int, within: float) -> Sequence[str]:
    async with asyncio.timeout(within):
        for attempt in count():
            try:
                return await create_topics(settings, replication=replication)
            except Unavailable as error:
                log.warning("trying again", extra={"reason": str(error)})
                await asyncio.sleep(delay(attempt))
    raise AssertionError("count() ends never")


def main() -> int:
    """Create every topic of the table; waits for a Kafka that is just starting."""
    arguments = argparse.ArgumentParser(prog="python -m libs.bus.creation", description=main.__doc__)
    arguments.add_argument("--replication", type=int, default=1, help="copies of each partition (default 1)")
    arguments.add_argument("--within", type=float, default=60.0, help="seconds to wait for Kafka (default 60)")
    given = arguments.parse_args()
    try:
        created = asyncio.run(_create_patiently(load(BusSettings), given.replication, given.within))
    except TimeoutError:
        sys.stderr.write(f"Kafka did not create the topics within {given.within:.0f} s\n")
        return 1
    except WrongPartitions as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    sys.stdout.write("".join(f"{name}\n" for name in created))
    return 0


if __name__ == "__main__":
    sys.exit(main())
