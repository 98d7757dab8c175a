import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.failures import Unavailable
from libs.contracts.routing import Channel, Lane
from libs.storage import Database
from services.dispatchers.pacing import LEASE, FarClock, Grant, Pacer, lease_size
from services.dispatchers.repository.rates import RateRepository
from tests.services.dispatchers.making import until

PACERS = 4
SECONDS = 2.5


@pytest.mark.parametrize(("rate", "size"), [(0.5, 1), (9.9, 1), (10, 1), (50, 5), (59, 5), (1000, 100)])
def test_a_lease_is_a_tenth_of_a_second_and_one_token_at_least(rate: float, size: int) -> None:
    assert lease_size(rate) == size


@given(st.lists(st.tuples(st.floats(1e-4, 0.2), st.floats(1e-4, 0.2)), min_size=1, max_size=30), st.floats(-1e6, 1e6))
def test_another_clock_is_known_within_what_the_answers_say(ways: list[tuple[float, float]], offset: float) -> None:
    clock = FarClock()
    for number, (there, back) in enumerate(ways):
        clock.heard(number, number + there + back, number + there - offset)
    assert clock.least - 1e-6 <= offset <= clock.most + 1e-6
    assert clock.most - clock.least <= min(there + back for there, back in ways[-16:]) + 1e-6


def test_a_clock_that_was_set_is_learned_anew() -> None:
    clock = FarClock()
    clock.heard(0.0, 0.01, 1000.0)
    clock.heard(1.0, 1.01, 4601.0)
    assert clock.not_before(4602.0) == pytest.approx(2.01)
    assert clock.not_after(4602.0) == pytest.approx(2.0)


class Giver:
    """Gives a lease that begins at once, or says when to ask again."""

    def __init__(self) -> None:
        self.asked: list[tuple[Lane, int]] = []
        self.delay = 0.0
        self.is_away = False

    async def take(self, lane: Lane, tokens: int) -> Grant:
        if self.is_away:
            raise Unavailable("no database")
        self.asked.append((lane, tokens))
        now = time.monotonic()
        return Grant(now, now + self.delay, now)


@asynccontextmanager
async def running(pacer: Pacer) -> AsyncIterator[Pacer]:
    task = asyncio.create_task(pacer.run())
    try:
        yield pacer
    finally:
        task.cancel()
        await asyncio.wait([task])


def soon(seconds: float = 10.0) -> float:
    return time.monotonic() + seconds


async def test_those_who_wait_share_a_lease_in_their_order() -> None:
    giver = Giver()
    pacer = Pacer(100, giver.take)
    order: list[int] = []

    async def take(number: int, count: int) -> None:
        assert await pacer.take(Lane.BULK, count, soon())
        order.append(number)

    tasks = [asyncio.create_task(take(number, count)) for number, count in enumerate((4, 4, 4))]
    await asyncio.sleep(0)
    async with running(pacer):
        await asyncio.gather(*tasks)
    assert order == [0, 1, 2]
    assert giver.asked == [(Lane.BULK, 8), (Lane.BULK, 4)]


async def test_the_urgent_lane_gets_the_bulk_lanes_tokens_first() -> None:
    giver = Giver()
    giver.delay = 0.05
    pacer = Pacer(50, giver.take)
    order: list[Lane] = []

    async def take(lane: Lane) -> None:
        assert await pacer.take(lane, 5, soon())
        order.append(lane)

    async with running(pacer):
        bulk = asyncio.create_task(take(Lane.BULK))
        await asyncio.sleep(0.01)
        urgent = asyncio.create_task(take(Lane.URGENT))
        await asyncio.gather(bulk, urgent)
    assert order == [Lane.URGENT, Lane.BULK]


async def test_without_a_giver_nothing_is_allowed() -> None:
    giver = Giver()
    giver.is_away = True
    async with running(Pacer(50, giver.take)) as pacer:
        assert not await pacer.take(Lane.BULK, 1, soon(0.05))
        assert pacer._waiting[Lane.BULK] == type(pacer._waiting[Lane.BULK])()


async def test_a_late_lease_is_not_used() -> None:
    late = 0.0

    async def take(lane: Lane, tokens: int) -> Grant:
        await asyncio.sleep(0.001)
        now = time.monotonic()
        return Grant(now, now - late, now)

    late = 0.2
    async with running(Pacer(50, take)) as pacer:
        assert not await pacer.take(Lane.BULK, 5, soon(0.05))
        late = 0.0
        assert await pacer.take(Lane.BULK, 5, soon())


async def test_closed_it_lets_nobody_wait_and_nobody_send() -> None:
    pacer = Pacer(50, Giver().take)
    waiting = asyncio.create_task(pacer.take(Lane.BULK, 5, soon()))
    await asyncio.sleep(0)
    pacer.close()
    assert not await waiting
    assert not await pacer.take(Lane.URGENT, 1, soon())


def most_in_a_second(instants: Sequence[float], counts: Callable[[int], int] = lambda _: 1) -> int:
    """The most tokens that were used within any one second."""
    most, first, held = 0, 0, 0
    for last, instant in enumerate(instants):
        held += counts(last)
        while instants[first] <= instant - 1.0:
            held -= counts(first)
            first += 1
        most = max(most, held)
    return most


@asynccontextmanager
async def pacers(dsn: str, rate: float, count: int = PACERS) -> AsyncIterator[list[Pacer]]:
    """Each as in a process of its own: with its own connections."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(count):
            database = await Database.connect(dsn, service="pacer", max_size=2)
            stack.push_async_callback(database.close)
            repository = RateRepository(database, Channel.SMS, "slow", rate)
            made.append(await stack.enter_async_context(running(Pacer(rate, repository.take))))
        yield made


@pytest.mark.postgres
@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("rate", [50, 7.5, 230])
async def test_four_pacers_never_exceed_the_rate_by_more_than_a_lease(postgres: str, rate: float) -> None:
    used: list[float] = []
    end = time.monotonic() + SECONDS
    lease = lease_size(rate)

    async def work(pacer: Pacer, lane: Lane) -> None:
        while time.monotonic() < end:
            if await pacer.take(lane, lease, end):
                used.append(time.monotonic())

    async with pacers(postgres, rate) as made:
        await asyncio.gather(*(work(pacer, Lane.BULK) for pacer in made for _ in range(2)))
    assert most_in_a_second(used) * lease <= rate + lease
    assert len(used) * lease >= rate * SECONDS * 0.5  # how much of it is used depends on the machine


@pytest.mark.postgres
@pytest.mark.usefixtures("database")
async def test_the_urgent_lane_gets_its_share_though_all_others_want_bulk(postgres: str) -> None:
    rate, lease = 50, 5
    used: dict[Lane, list[float]] = {Lane.URGENT: [], Lane.BULK: []}
    waits: list[float] = []
    end = time.monotonic() + SECONDS

    async def work(pacer: Pacer, lane: Lane, pause: float) -> None:
        while (began := time.monotonic()) < end:
            if await pacer.take(lane, lease if lane is Lane.BULK else 1, end):
                used[lane].append(time.monotonic())
                if lane is Lane.URGENT:
                    waits.append(time.monotonic() - began)
            await asyncio.sleep(pause)

    async with pacers(postgres, rate) as made:
        bulk = [work(pacer, Lane.BULK, 0) for pacer in made for _ in range(3)]
        await asyncio.gather(*bulk, work(made[0], Lane.URGENT, 0.05))
    both = sorted([(at, lease) for at in used[Lane.BULK]] + [(at, 1) for at in used[Lane.URGENT]])
    assert most_in_a_second([at for at, _ in both], lambda number: both[number][1]) <= rate + lease
    assert sorted(waits)[len(waits) // 2] < 5 * LEASE
    assert len(used[Lane.URGENT]) >= 5


PROCESS = """
import asyncio, sys, time
from libs.contracts.routing import Channel, Lane
from libs.storage import Database
from services.dispatchers.pacing import Pacer
from services.dispatchers.repository import RateRepository

async def main(dsn, rate):
    database = await Database.connect(dsn, service="pacer", max_size=2)
    pacer = Pacer(rate, RateRepository(database, Channel.SMS, "slow", rate).take)
    running = asyncio.create_task(pacer.run())
    while True:
        if await pacer.take(Lane.BULK, pacer.lease, time.monotonic() + 60):
            print(time.monotonic(), flush=True)

asyncio.run(main(sys.argv[1], float(sys.argv[2])))
"""


@pytest.mark.postgres
@pytest.mark.usefixtures("database")
async def test_processes_that_are_killed_and_started_again_keep_to_the_rate(postgres: str) -> None:
    rate, lease = 50, 5
    used: list[float] = []

    async def start() -> tuple[asyncio.subprocess.Process, asyncio.Task[None]]:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROCESS, postgres, str(rate), stdout=pipe)
        return process, asyncio.create_task(read(process))

    async def read(process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            used.append(float(line))  # noqa: PERF401 - others read it meanwhile

    running = [await start() for _ in range(PACERS)]
    await until(lambda: len(used) >= 20, within=60)
    for process, _ in running[:2]:
        process.kill()
    running += [await start() for _ in range(2)]
    count = len(used)
    await until(lambda: len(used) >= count + 40, within=60)
    for process, reading in running:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading
    used.sort()
    assert most_in_a_second(used) * lease <= rate + lease
