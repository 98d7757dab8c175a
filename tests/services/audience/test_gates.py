"""Pause, resume and cancel between a command and what is published, on a real Postgres."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.bus import Outgoing, Received
from libs.contracts.commands import ExpandAudience, Recipients, SendDeliveries
from libs.contracts.events import DeliverySuppressed, NotificationControlled, NotificationExpanded
from libs.contracts.routing import Lane
from libs.contracts.states import Gate
from libs.contracts.topics import EXPAND_AUDIENCE
from libs.storage import Database
from services.audience.handlers import AudienceHandlers
from services.audience.listing import PAGE
from services.audience.repository import UpkeepRepository
from tests.services.audience.saying import of_type, wire_bytes

pytestmark = pytest.mark.postgres

ANNA, JAN = "+48600000001", "+48600000002"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

Ask = Callable[..., ExpandAudience]
Decide = Callable[..., NotificationControlled]
Run = Callable[..., Awaitable[list[Outgoing]]]
Save = Callable[..., Awaitable[None]]


@pytest.mark.parametrize("gate", [Gate.PAUSED, Gate.HELD])
@pytest.mark.parametrize("lane", list(Lane))
async def test_a_command_waits_behind_the_gate_and_goes_on_when_it_opens(
    ask: Ask, decide: Decide, run: Run, control: Run, save: Save, gate: Gate, lane: Lane
) -> None:
    await save({1: ANNA})
    command = ask([1], lane=lane)
    assert await control(decide(command, gate)) == []
    assert await run(command) == []
    assert await run(command) == []
    (again,) = await control(decide(command, Gate.OPEN, 2))
    assert again.topic is EXPAND_AUDIENCE[lane]
    assert again.message == command
    sent, _expanded = await run(again.message)
    assert sent.message.addresses == (ANNA,)
    # The page is frozen: nothing waits any more.
    assert await control(decide(command, Gate.OPEN, 2)) == []


async def test_what_was_parked_keeps_its_trace(
    ask: Ask, decide: Decide, control: Run, save: Save, database: Database, handlers: AudienceHandlers
) -> None:
    command = ask([1])
    await control(decide(command, Gate.PAUSED))
    async with database.transaction() as connection:
        record = Received(command, "expand.audience.bulk", 0, 0, command.occurred_at, TRACEPARENT)
        await handlers.on_expand_audience([record], connection)
    (again,) = await control(decide(command, Gate.OPEN, 2))
    assert again.traceparent == TRACEPARENT


async def test_a_redelivered_resume_publishes_again(
    ask: Ask, decide: Decide, run: Run, control: Run, save: Save
) -> None:
    """As after a crash between its commit and its publish."""
    command = ask([1])
    await control(decide(command, Gate.PAUSED))
    await run(command)
    first = await control(decide(command, Gate.OPEN, 2))
    assert wire_bytes(await control(decide(command, Gate.OPEN, 2))) == wire_bytes(first) != []


async def test_an_older_decision_is_old_news(ask: Ask, decide: Decide, run: Run, control: Run, save: Save) -> None:
    await save({1: ANNA})
    command = ask([1])
    await control(decide(command, Gate.OPEN, 3))
    await control(decide(command, Gate.PAUSED, 2))
    assert len(await run(command)) == 2


async def test_paused_again_before_it_came(ask: Ask, decide: Decide, run: Run, control: Run, save: Save) -> None:
    await save({1: ANNA})
    command = ask([1])
    await control(decide(command, Gate.PAUSED, 1))
    await run(command)
    (again,) = await control(decide(command, Gate.OPEN, 2))
    assert await control(decide(command, Gate.HELD, 3)) == []
    assert await run(again.message) == []
    (once_more,) = await control(decide(command, Gate.OPEN, 4))
    assert len(await run(once_more.message)) == 2


async def test_a_frozen_page_is_said_again_whatever_the_gate(
    ask: Ask, decide: Decide, run: Run, control: Run, save: Save
) -> None:
    """Its chunks may not have been published; the dispatchers have gates of their own."""
    await save({1: ANNA})
    command = ask([1])
    first = await run(command)
    for revision, gate in enumerate((Gate.PAUSED, Gate.HELD, Gate.CANCELLED), start=1):
        await control(decide(command, gate, revision))
        assert wire_bytes(await run(command)) == wire_bytes(first)


async def test_a_cancelled_notification_gets_no_further_page(
    ask: Ask, decide: Decide, run: Run, control: Run, save: Save
) -> None:
    await save({n: f"+48{600_000_000 + n}" for n in range(PAGE - 10)})
    command = ask(range(PAGE + 100))
    (second,) = of_type(await run(command), ExpandAudience)
    await control(decide(command, Gate.CANCELLED))
    last = await run(second)
    (expanded,) = [one.message for one in last]
    assert isinstance(expanded, NotificationExpanded)
    assert (expanded.planned, expanded.suppressed, expanded.part) == (PAGE - 10, 10, 0)
    assert wire_bytes(await run(second)) == wire_bytes(last)


async def test_cancelled_before_it_began(ask: Ask, decide: Decide, run: Run, control: Run, save: Save) -> None:
    await save({1: ANNA})
    command = ask([1, 2], lane=Lane.URGENT)
    await control(decide(command, Gate.CANCELLED))
    (expanded,) = await run(command)
    assert isinstance(expanded.message, NotificationExpanded)
    assert (expanded.message.planned, expanded.message.suppressed) == (0, 0)


async def test_cancelled_while_it_was_paused(ask: Ask, decide: Decide, run: Run, control: Run, save: Save) -> None:
    await save({1: ANNA})
    command = ask([1])
    await control(decide(command, Gate.PAUSED))
    await run(command)
    (again,) = await control(decide(command, Gate.CANCELLED, 2))
    (expanded,) = await run(again.message)
    assert isinstance(expanded.message, NotificationExpanded)
    assert (expanded.message.planned, expanded.message.suppressed) == (0, 0)


async def test_a_cancelled_fallback_tells_everybody_off(
    ask: Ask, decide: Decide, run: Run, control: Run, save: Save
) -> None:
    await save({1: ANNA})
    some = Recipients(numbers=(4, 9), client_ids=(1, None), addresses=(None, JAN))
    command = ask([1], step=1, recipients=some)
    await control(decide(command, Gate.CANCELLED))
    published = await run(command)
    (suppressed,), (expanded,) = of_type(published, DeliverySuppressed), of_type(published, NotificationExpanded)
    assert (suppressed.numbers, suppressed.rules, suppressed.step) == ((4, 9), ("cancelled", "cancelled"), 1)
    assert (expanded.planned, expanded.suppressed, expanded.part) == (0, 2, 4)
    assert of_type(published, SendDeliveries) == []


async def test_a_paused_fallback_waits_in_all_its_parts(
    ask: Ask, decide: Decide, run: Run, control: Run, save: Save
) -> None:
    parts = [Recipients(numbers=(n,), client_ids=(None,), addresses=(f"+4860000000{n}",)) for n in range(3)]
    first = ask([1], step=1, recipients=parts[0])
    number = first.notification.notification_id
    commands = [first, *(ask([1], step=1, recipients=part, notification_id=number) for part in parts[1:])]
    await control(decide(first, Gate.PAUSED))
    assert await run(*commands) == []
    again = await control(decide(first, Gate.OPEN, 2))
    assert [one.message.page for one in again] == [0, 1, 2]
    sent = of_type(await run(*(one.message for one in again)), SendDeliveries)
    assert sorted(chunk.numbers for chunk in sent) == [(0,), (1,), (2,)]


async def test_in_one_batch_each_has_its_own_gate(ask: Ask, decide: Decide, run: Run, control: Run, save: Save) -> None:
    await save({1: ANNA})
    await save({1: JAN}, tenant="other")
    going, paused, cancelled = ask([1]), ask([1]), ask([1])
    number = paused.notification.notification_id
    of_another_tenant = ask([1], tenant="other", notification_id=number)
    assert await control(decide(paused, Gate.PAUSED), decide(cancelled, Gate.CANCELLED)) == []
    published = await run(going, paused, cancelled, of_another_tenant, paused)
    assert [chunk.addresses for chunk in of_type(published, SendDeliveries)] == [(ANNA,), (JAN,)]
    assert [one.planned for one in of_type(published, NotificationExpanded)] == [1, 0, 1]
    assert [one.message for one in await control(decide(paused, Gate.OPEN, 2))] == [paused]


async def test_who_parks_and_who_resumes_see_each_other(
    ask: Ask, decide: Decide, save: Save, control: Run, database: Database, handlers: AudienceHandlers
) -> None:
    """The command was read while the gate was shut, and is parked when the resume is already on its way."""
    command = ask([1])
    await control(decide(command, Gate.PAUSED))
    parked, proceed = asyncio.Event(), asyncio.Event()

    async def expand() -> None:
        async with database.transaction() as connection:
            record = Received(command, "expand.audience.bulk", 0, 0, command.occurred_at, None)
            effect = await handlers.on_expand_audience([record], connection)
            assert list(effect.publish) == []
            parked.set()
            await proceed.wait()

    async def resume() -> list[Outgoing]:
        await parked.wait()
        resuming = asyncio.ensure_future(control(decide(command, Gate.OPEN, 2)))
        await until_one_waits_for_a_lock(database)
        proceed.set()
        return await resuming

    _, (again,) = await asyncio.gather(expand(), resume())
    assert again.message == command


async def test_a_resume_that_has_not_committed_is_waited_for(
    ask: Ask, decide: Decide, run: Run, save: Save, control: Run, database: Database, handlers: AudienceHandlers
) -> None:
    await save({1: ANNA})
    command = ask([1])
    await control(decide(command, Gate.PAUSED))
    resumed, proceed = asyncio.Event(), asyncio.Event()

    async def resume() -> None:
        async with database.transaction() as connection:
            event = decide(command, Gate.OPEN, 2)
            record = Received(event, "notification.controlled", 0, 0, event.occurred_at, None)
            effect = await handlers.on_notification_controlled([record], connection)
            assert list(effect.publish) == []
            resumed.set()
            await proceed.wait()

    async def expand() -> list[Outgoing]:
        await resumed.wait()
        expanding = asyncio.ensure_future(run(command))
        await until_one_waits_for_a_lock(database)
        proceed.set()
        return await expanding

    _, published = await asyncio.gather(resume(), expand())
    assert [chunk.addresses for chunk in of_type(published, SendDeliveries)] == [(ANNA,)]


async def until_one_waits_for_a_lock(database: Database) -> None:
    async with asyncio.timeout(5):
        while True:
            async with database.connection() as connection:
                waiting = """SELECT count(*) FROM pg_stat_activity
                             WHERE datname = current_database() AND wait_event_type = 'Lock'"""
                if await connection.fetchval(waiting):
                    return
            await asyncio.sleep(0.01)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    gates=st.lists(st.sampled_from([Gate.OPEN, Gate.PAUSED, Gate.HELD]), max_size=5),
    end=st.sampled_from([Gate.OPEN, Gate.CANCELLED]),
    data=st.data(),
)
async def test_whatever_order_every_command_is_answered_once_it_is_over(
    ask: Ask,
    decide: Decide,
    run: Run,
    control: Run,
    save: Save,
    database: Database,
    gates: list[Gate],
    end: Gate,
    data: st.DataObject,
) -> None:
    """Decisions and commands in any order, both redelivered at will, with the sweep in between: after the last decision
    both commands are frozen, and what was published of a page is always the same."""
    async with database.connection() as connection:
        await connection.execute("TRUNCATE audience.gate, audience.parked, audience.page")
    some = Recipients(numbers=(4, 9), client_ids=(1, None), addresses=(None, JAN))
    await save({1: ANNA})
    first = ask([1])
    second = ask([1], step=1, recipients=some, notification_id=first.notification.notification_id)
    queue: list[ExpandAudience] = [first, second]
    said: dict[object, set[str]] = {}
    decisions = [decide(first, gate, revision) for revision, gate in enumerate([*gates, end], start=1)]
    while queue or decisions:
        if queue and (not decisions or data.draw(st.booleans())):
            command = queue.pop(data.draw(st.integers(0, len(queue) - 1)))
            for _ in range(data.draw(st.integers(1, 2))):
                for one in await run(command):
                    said.setdefault(one.message.event_id, set()).add(one.message.model_dump_json())
        else:
            decision = decisions.pop(0)
            for _ in range(data.draw(st.integers(1, 2))):
                queue += of_type(await control(decision), ExpandAudience)
        if data.draw(st.booleans()):
            async with database.connection() as connection:
                await UpkeepRepository().forget(connection)
    assert all(len(versions) == 1 for versions in said.values())
    expanded = [text for (text,) in said.values() if '"notification.expanded"' in text]
    assert len(expanded) == 2
    async with database.connection() as connection:
        await UpkeepRepository().forget(connection)
        assert await connection.fetchval("SELECT count(*) FROM audience.parked") == 0
