"""Gates and what is parked behind them, on a real Postgres."""

import pytest

from libs.contracts.states import Gate
from libs.storage import Database
from services.audience.planning import PagePlan
from services.audience.repository import GateRepository, PageKey, Parked, PlanRepository

pytestmark = pytest.mark.postgres

GATES, PLANS = GateRepository(), PlanRepository()
EMPTY = PagePlan(0, 0, None, (), ())


async def test_only_a_newer_revision_changes_a_gate(database: Database, ask, decide) -> None:
    command = ask([1])
    key = PageKey.of(command)
    for gate, revision, expected in (
        (Gate.PAUSED, 2, {key[:2]: Gate.PAUSED}),
        (Gate.CANCELLED, 1, {key[:2]: Gate.PAUSED}),
        (Gate.CANCELLED, 2, {key[:2]: Gate.PAUSED}),
        (Gate.HELD, 3, {key[:2]: Gate.HELD}),
        (Gate.OPEN, 9, {}),
    ):
        async with database.transaction() as connection:
            await GATES.put(connection, [decide(command, gate, revision)])
            assert await GATES.shut(connection, [key, key]) == expected


async def test_a_gate_is_its_tenant_s(database: Database, ask, decide) -> None:
    mine = ask([1])
    theirs = ask([1], tenant="other", notification_id=mine.notification.notification_id)
    async with database.transaction() as connection:
        await GATES.put(connection, [decide(mine, Gate.PAUSED)])
        assert await GATES.shut(connection, [PageKey.of(theirs)]) == {}
        assert list(await PLANS.freeze(connection, {PageKey.of(mine): EMPTY, PageKey.of(theirs): EMPTY})) == [
            PageKey.of(theirs)
        ]


async def test_a_page_behind_a_shut_gate_is_stored_only_to_close_it(database: Database, ask, decide) -> None:
    command = ask([1])
    key = PageKey.of(command)
    async with database.transaction() as connection:
        await GATES.put(connection, [decide(command, Gate.CANCELLED)])
        assert await PLANS.freeze(connection, {key: EMPTY}) == {}
        closed = await PLANS.close(connection, {key: EMPTY})
        assert closed[key].plan == EMPTY
        assert await PLANS.freeze(connection, {key: EMPTY}) == closed
        assert await PLANS.close(connection, {key: EMPTY}) == closed


async def test_what_is_released(database: Database, ask, decide) -> None:
    first = ask([1])
    number = first.notification.notification_id
    second = ask([1], step=1, notification_id=number)
    other = ask([1], tenant="other", notification_id=number)
    commands = {PageKey.of(one): Parked(one, f"trace {one.step}") for one in (second, first, other)}
    paused, opened = decide(first, Gate.PAUSED), decide(first, Gate.OPEN, 2)
    async with database.transaction() as connection:
        await GATES.put(connection, [paused])
        await GATES.park(connection, commands)
        await GATES.park(connection, commands)
        assert await GATES.released(connection, [paused]) == []
        await GATES.put(connection, [opened])
        assert await GATES.released(connection, [opened]) == [Parked(first, "trace 0"), Parked(second, "trace 1")]
        await PLANS.freeze(connection, {PageKey.of(first): EMPTY})
        assert await GATES.released(connection, [opened]) == [Parked(second, "trace 1")]
