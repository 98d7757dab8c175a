import asyncio
from collections.abc import Sequence

import pytest

from libs.bus import Outgoing, following
from libs.bus.following import Following
from libs.contracts.failures import Unavailable
from libs.contracts.topics import NOTIFICATION_EXPANDED
from tests.libs.bus.doubles import expanded


class Kafka:
    """Takes what is published, or fails as it is told."""

    def __init__(self) -> None:
        self.taken: list[list[Outgoing]] = []
        self.failures: list[Exception] = []
        self.problems: list[Exception] = []
        self.following = Following(self.publish, failed=self.problems.append)

    async def publish(self, outgoing: Sequence[Outgoing]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.taken.append(list(outgoing))


@pytest.fixture
async def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    monkeypatch.setattr(following, "delay", lambda failures: 0)
    return Kafka()


def event(number: int) -> Outgoing:
    return Outgoing(NOTIFICATION_EXPANDED, expanded(number))


async def test_what_gathers_leaves_together_and_in_order(kafka: Kafka) -> None:
    events = [event(number) for number in range(3)]
    for one in events:
        await kafka.following.add([one])
    assert kafka.taken == []
    await kafka.following.finish()
    assert kafka.taken == [events]


async def test_without_a_hurry_it_leaves_by_itself(kafka: Kafka) -> None:
    await kafka.following.add([event(1)])
    async with asyncio.timeout(10):
        while not kafka.taken:
            await asyncio.sleep(0.01)


async def test_what_comes_afterwards_waits_for_the_acknowledgement(kafka: Kafka) -> None:
    seen: list[int] = []
    kafka.failures = [Unavailable("away"), Unavailable("away")]
    await kafka.following.add([event(1)])
    kafka.following.afterwards(lambda: seen.append(len(kafka.taken)))
    assert seen == []
    await kafka.following.finish()
    assert seen == [1]


async def test_where_nothing_waits_it_comes_at_once(kafka: Kafka) -> None:
    seen: list[str] = []
    kafka.following.afterwards(lambda: seen.append("done"))
    await kafka.following.add([])
    kafka.following.afterwards(lambda: seen.append("again"))
    assert seen == ["done", "again"]


async def test_a_batch_without_events_stays_behind_the_one_before(kafka: Kafka) -> None:
    seen: list[str] = []
    await kafka.following.add([event(1)])
    kafka.following.afterwards(lambda: seen.append("first"))
    await kafka.following.add([])
    kafka.following.afterwards(lambda: seen.append("second"))
    assert seen == []
    await kafka.following.finish()
    assert seen == ["first", "second"]


async def test_what_can_never_leave_is_told_and_nothing_after_it_counts(kafka: Kafka) -> None:
    seen: list[str] = []
    kafka.failures = [ValueError("too large")]
    await kafka.following.add([event(1)])
    kafka.following.afterwards(lambda: seen.append("done"))
    await kafka.following.finish()
    assert [str(problem) for problem in kafka.problems] == ["too large"]
    await kafka.following.add([event(2)])
    kafka.following.afterwards(lambda: seen.append("past it"))
    await kafka.following.finish()
    assert (kafka.taken, seen) == ([], [])


async def test_opened_again_it_takes_what_comes_again(kafka: Kafka) -> None:
    kafka.failures = [ValueError("too large")]
    await kafka.following.add([event(1)])
    await kafka.following.finish()
    kafka.following.open()
    await kafka.following.add([event(1)])
    await kafka.following.finish()
    assert [len(batch) for batch in kafka.taken] == [1]


async def test_what_was_given_up_does_not_leave(kafka: Kafka) -> None:
    seen: list[str] = []
    await kafka.following.add([event(1)])
    kafka.following.afterwards(lambda: seen.append("done"))
    kafka.following.close()
    await kafka.following.finish()
    assert (kafka.taken, seen) == ([], [])


async def test_a_backlog_holds_up_whoever_makes_it(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "MOST_WAITING", 2)
    await kafka.following.add([event(1), event(2), event(3)])
    assert [len(batch) for batch in kafka.taken] == [3]
