import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, KafkaConnectionError

from libs.bus import commits
from libs.bus.commits import Commits

ONE, TWO = TopicPartition("t", 1), TopicPartition("t", 2)


class Group:
    """Kafka's side: what it was told, and what goes wrong."""

    def __init__(self) -> None:
        self.held = {ONE, TWO}
        self.told: list[Mapping[TopicPartition, Any]] = []
        self.failures: list[Exception] = []

    async def commit(self, offsets: Mapping[TopicPartition, Any]) -> None:
        if self.failures:
            raise self.failures.pop()
        self.told.append(dict(offsets))

    def assignment(self) -> set[TopicPartition]:
        return self.held


@pytest.fixture
def group() -> Group:
    return Group()


@pytest.fixture
async def noted(group: Group) -> Commits:
    return Commits(group.commit, group.assignment)


async def until_told(group: Group, times: int) -> None:
    async with asyncio.timeout(10):
        while len(group.told) < times:
            await asyncio.sleep(0.01)


async def test_what_is_done_is_committed_together_a_little_later(group: Group, noted: Commits) -> None:
    noted.note({ONE: 1})
    noted.note({ONE: 2, TWO: 1})
    assert group.told == []
    await until_told(group, 1)
    assert group.told == [{ONE: 2, TWO: 1}]


async def test_what_kafka_knows_is_not_said_again(group: Group, noted: Commits) -> None:
    noted.note({ONE: 1, TWO: 1})
    await noted.flush()
    noted.note({ONE: 2, TWO: 1})
    await noted.flush()
    await noted.flush()
    assert group.told == [{ONE: 1, TWO: 1}, {ONE: 2}]


async def test_after_a_rebalance_everything_is_said_again(group: Group, noted: Commits) -> None:
    noted.note({ONE: 1})
    await noted.flush()
    noted.forget()
    noted.note({ONE: 1})
    await noted.flush()
    assert group.told == [{ONE: 1}, {ONE: 1}]


async def test_a_partition_that_went_is_not_committed(group: Group, noted: Commits) -> None:
    noted.note({ONE: 1, TWO: 1})
    group.held = {TWO}
    await noted.flush()
    assert group.told == [{TWO: 1}]


async def test_a_commit_that_kafka_did_not_take_is_tried_again(group: Group, noted: Commits) -> None:
    group.failures = [KafkaConnectionError()]
    noted.note({ONE: 1})
    noted.note({ONE: 2})
    await until_told(group, 1)
    assert group.told == [{ONE: 2}]


async def test_a_commit_after_the_partitions_moved_is_given_up(group: Group, noted: Commits) -> None:
    group.failures = [CommitFailedError()]
    noted.note({ONE: 1})
    await noted.flush()
    await noted.flush()
    assert group.told == []


async def test_a_closed_one_commits_nothing(group: Group, noted: Commits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "COMMIT_SECONDS", 0)
    noted.note({ONE: 1})
    noted.close()
    await asyncio.sleep(0.01)
    assert group.told == []
