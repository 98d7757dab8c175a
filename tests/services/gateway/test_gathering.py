"""What gathers while one round trip runs goes with the next."""

import asyncio
from collections.abc import Sequence

import pytest

from libs.contracts.failures import Unavailable
from services.gateway.gathering import Gathering


class Work:
    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = asyncio.Event()
        self.failure: Exception | None = None

    async def __call__(self, items: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(items))
        await self.go.wait()
        if self.failure is not None:
            raise self.failure
        return [item * 2 for item in items]

    async def began(self, count: int) -> None:
        while len(self.batches) < count:
            await asyncio.sleep(0)


async def test_one_at_a_time_and_everybody_gets_their_own() -> None:
    work = Work()
    gathering = Gathering[int, int](work, most=3)
    first = asyncio.create_task(gathering.submit(1, within=10))
    await work.began(1)
    others = [asyncio.create_task(gathering.submit(number, within=10)) for number in range(2, 7)]
    await asyncio.sleep(0)
    work.go.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6, 8, 10, 12]
    assert work.batches == [[1], [2, 3, 4], [5, 6]]


async def test_a_failure_is_everybody_s_and_the_next_round_is_new() -> None:
    work = Work()
    work.go.set()
    work.failure = Unavailable("away")
    gathering = Gathering[int, int](work)
    results = await asyncio.gather(*(gathering.submit(1, within=10) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 3
    work.failure = None
    assert await gathering.submit(4, within=10) == 8


async def test_nobody_waits_longer_than_they_said() -> None:
    work = Work()
    gathering = Gathering[int, int](work)
    stuck = asyncio.create_task(gathering.submit(1, within=10))
    await work.began(1)
    with pytest.raises(Unavailable):
        await gathering.submit(2, within=0)
    with pytest.raises(Unavailable):
        await gathering.submit(3, within=0, keep=True)
    work.go.set()
    assert await stuck == 2
    await gathering.stop()
    assert work.batches == [[1], [3]]
