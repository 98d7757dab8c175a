"""What is over is forgotten, what goes on is not; and what an older release held is understood."""

from collections.abc import AsyncIterator
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from libs.contracts.commands import ControlAction
from libs.contracts.notification import Notification
from libs.contracts.routing import Lane
from libs.storage import Database, migrate
from services.scheduler.handlers import SchedulerHandlers
from services.scheduler.repository import UpkeepRepository
from services.scheduler.upkeep import MEMORY, RETENTION, Upkeep
from tests.services.scheduler.making import (
    LATE,
    Recorder,
    accepted,
    control,
    controller,
    notification,
    now,
    ordered,
    received,
    releaser,
    states,
)

pytestmark = pytest.mark.postgres
DAY = timedelta(days=1)


async def hold(database: Database, one: Notification) -> None:
    async with database.transaction() as connection:
        await SchedulerHandlers(controller(), lambda: None).on_notification_accepted(
            received(accepted(one)), connection
        )


async def obey(database: Database, one: Notification, action: ControlAction) -> None:
    async with database.transaction() as connection:
        await SchedulerHandlers(controller(), lambda: None).on_control_notification(
            ordered(control(one, action)), connection
        )


async def age(database: Database, by: timedelta) -> None:
    async with database.connection() as connection:
        await connection.execute("UPDATE scheduler.waiting SET ended_at = ended_at - $1::interval", by)
        await connection.execute("UPDATE scheduler.control SET changed_at = changed_at - $1::interval", by)
        await connection.execute("UPDATE scheduler.control_command SET decided_at = decided_at - $1::interval", by)


async def gates(database: Database) -> set[str]:
    async with database.connection() as connection:
        return {row["gate"] for row in await connection.fetch("SELECT gate FROM scheduler.control")}


async def commands(database: Database) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM scheduler.control_command"))


async def test_what_is_over_is_forgotten_and_the_rest_stays(database: Database) -> None:
    left, cancelled, waits = notification(at=now() - LATE), notification(), notification()
    paused, resumed = notification(), notification()
    for one in (left, cancelled, waits, paused):
        await hold(database, one)
    await releaser(database, Recorder()).turn()
    await obey(database, cancelled, ControlAction.CANCEL)
    await obey(database, paused, ControlAction.PAUSE)
    for action in (ControlAction.PAUSE, ControlAction.RESUME):
        await obey(database, resumed, action)
    upkeep = Upkeep(database, UpkeepRepository())

    await age(database, RETENTION - DAY)
    assert not await upkeep.run()
    assert await states(database) == {"fired": 1, "cancelled": 1, "waiting": 1, "stopped": 1}
    assert (await gates(database), await commands(database)) == ({"cancelled", "paused", "open"}, 4)

    await age(database, 2 * DAY)
    for _ in range(2):
        assert not await upkeep.run()
    assert await states(database) == {"waiting": 1, "stopped": 1}
    # Of what was only resumed nobody knows whether it is over: its revisions go on.
    assert (await gates(database), await commands(database)) == ({"paused", "open"}, 0)

    await age(database, MEMORY)
    await upkeep.run()
    assert await gates(database) == {"paused"}


async def test_a_batch_at_a_time(database: Database) -> None:
    for _ in range(3):
        await hold(database, notification(at=now() - LATE))
    await releaser(database, Recorder()).turn()
    await age(database, 2 * RETENTION)
    async with database.transaction() as connection:
        assert await UpkeepRepository().forget(connection, retention=RETENTION, memory=MEMORY, limit=2) == 2
    assert await states(database) == {"fired": 1}


@pytest.fixture
async def older(postgres: str, tmp_path: Path) -> AsyncIterator[Database]:
    """A database of the first release."""
    folder = files("services.scheduler") / "migrations"
    (tmp_path / "0001_waiting.sql").write_bytes((folder / "0001_waiting.sql").read_bytes())
    opened = await Database.connect(postgres, service="scheduler-tests")
    await migrate(opened, schema="scheduler", folder=tmp_path)
    yield opened
    await opened.close()


async def test_what_an_older_release_held_leaves_in_its_lane(older: Database) -> None:
    urgent, bulk = notification(at=now() - LATE, lane=Lane.URGENT), notification(at=now() - LATE)
    async with older.connection() as connection:
        for one in (urgent, bulk):
            await connection.execute(
                "INSERT INTO scheduler.waiting (tenant, notification_id, at, body, acceptance_id)"
                " VALUES ('demo', $1, $2, $3, $1)",
                one.notification_id,
                one.at,
                one.model_dump_json().encode(),
            )
    await migrate(older, schema="scheduler", folder=files("services.scheduler") / "migrations")
    async with older.connection() as connection:
        lanes = await connection.fetch("SELECT notification_id FROM scheduler.waiting WHERE urgent")
    assert [row["notification_id"] for row in lanes] == [urgent.notification_id]
    bus = Recorder()
    await releaser(older, bus).turn()
    assert {one.topic.lane for one in bus.outgoing} == set(Lane)
