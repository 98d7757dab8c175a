"""What is dropped, and when, on a real Postgres."""

from datetime import timedelta

import pytest

from libs.contracts.states import Gate
from libs.storage import Database
from services.audience.repository import UpkeepRepository
from services.audience.repository.upkeep import KEPT_FOR, ROWS_AT_ONCE
from services.audience.sweeping import Sweeper

pytestmark = pytest.mark.postgres

DAY = timedelta(days=1)


async def make_old(database: Database, age: timedelta) -> None:
    async with database.connection() as connection:
        await connection.execute("UPDATE audience.page SET decided_at = now() - $1::interval", age)
        await connection.execute("UPDATE audience.gate SET controlled_at = now() - $1::interval", age)


async def count(database: Database, table: str) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval(f"SELECT count(*) FROM audience.{table}"))


async def sweep(database: Database) -> bool:
    return await Sweeper(database, UpkeepRepository()).sweep()


async def test_plans_go_when_nothing_can_ask_for_them_any_more(database: Database, ask, run) -> None:
    await run(ask([1]))
    await make_old(database, KEPT_FOR - DAY)
    assert not await sweep(database)
    assert await count(database, "page") == 1
    await make_old(database, KEPT_FOR + DAY)
    assert not await sweep(database)
    assert await count(database, "page") == 0


async def test_it_goes_on_while_there_is_more(database: Database, ask, run) -> None:
    commands = [ask([1]) for _ in range(ROWS_AT_ONCE + 1)]
    await run(*commands)
    await make_old(database, KEPT_FOR + DAY)
    assert await sweep(database)
    assert await count(database, "page") == 1
    assert not await sweep(database)
    assert await count(database, "page") == 0


async def test_the_pages_before_a_parked_one_stay(database: Database, ask, run, control, decide) -> None:
    command, other = ask(range(11_001)), ask([1])
    following = (await run(command, other))[-3].message
    assert following.page == 1
    await control(decide(command, Gate.PAUSED), decide(other, Gate.OPEN))
    await run(following)
    await make_old(database, KEPT_FOR + DAY)
    await sweep(database)
    assert (await count(database, "page"), await count(database, "parked"), await count(database, "gate")) == (1, 1, 1)
    # It is resumed after a month, and is complete.
    (again,) = await control(decide(command, Gate.OPEN, 2))
    *_, expanded = await run(again.message)
    assert expanded.message.suppressed == 11_001


async def test_a_parked_command_goes_when_its_page_is_frozen(database: Database, ask, run, control, decide) -> None:
    command = ask([1])
    await control(decide(command, Gate.PAUSED))
    await run(command)
    await sweep(database)
    assert await count(database, "parked") == 1
    await control(decide(command, Gate.OPEN, 2))
    await run(command)
    await sweep(database)
    assert await count(database, "parked") == 0


@pytest.mark.parametrize(
    ("gate", "kept"), [(Gate.OPEN, False), (Gate.CANCELLED, False), (Gate.PAUSED, True), (Gate.HELD, True)]
)
async def test_the_gate_of_what_is_not_over_stays(
    database: Database, ask, control, decide, gate: Gate, kept: bool
) -> None:
    await control(decide(ask([1]), gate))
    await make_old(database, KEPT_FOR - DAY)
    await sweep(database)
    assert await count(database, "gate") == 1
    await make_old(database, KEPT_FOR + DAY)
    await sweep(database)
    assert await count(database, "gate") == int(kept)
