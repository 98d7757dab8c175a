"""From a command to what is published, on a real Postgres: frozen, redelivered, page after page."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.bus import Outgoing, Received
from libs.contracts.audience import Addresses, ClientIds
from libs.contracts.commands import ExpandAudience, SendDeliveries
from libs.contracts.events import DeliverySuppressed, NotificationExpanded
from libs.contracts.ids import chunk_id, new_notification_id
from libs.contracts.routing import Lane, partition_of
from libs.contracts.topics import EXPAND_AUDIENCE, NOTIFICATION_EXPANDED, SEND_SMS
from libs.storage import Connection, Database
from services.audience.handlers import AudienceHandlers
from services.audience.listing import PAGE
from tests.services.audience.saying import of_type, wire_bytes

pytestmark = pytest.mark.postgres

ANNA, JAN = "+48600000001", "+48600000002"

Ask = Callable[..., ExpandAudience]
Run = Callable[..., Awaitable[list[Outgoing]]]
Save = Callable[..., Awaitable[None]]


async def expand(run: Run, command: ExpandAudience) -> list[Outgoing]:
    """Every page, one after another, as the bus would bring them back."""
    published = await run(command)
    while (nexts := of_type(published[-1:], ExpandAudience)) != []:
        published += await run(*nexts)
    return published


async def test_a_single_recipient(ask: Ask, run: Run, save: Save) -> None:
    await save({7: ANNA})
    command = ask([7], lane=Lane.URGENT)
    sent, expanded = await run(command)

    assert sent.topic is SEND_SMS.urgent
    assert sent.partition == partition_of("demo", ANNA, SEND_SMS.urgent.partitions)
    chunk = sent.message
    assert isinstance(chunk, SendDeliveries)
    assert (chunk.client_ids, chunk.addresses, chunk.first_number) == ((7,), (ANNA,), 0)
    assert chunk.chunk_id == chunk_id(command.notification.notification_id, 0)
    assert chunk.content == command.notification.content
    assert (chunk.tenant, chunk.lane, chunk.causation_id) == ("demo", Lane.URGENT, command.event_id)

    assert expanded.topic is NOTIFICATION_EXPANDED
    assert isinstance(expanded.message, NotificationExpanded)
    assert (expanded.message.planned, expanded.message.suppressed) == (1, 0)
    assert expanded.message.key == str(command.notification.notification_id)


@pytest.mark.parametrize(("to", "statements"), [(ClientIds(client_ids=(7,)), 2), (Addresses(addresses=(JAN,)), 1)])
async def test_a_single_recipient_costs_few_round_trips(
    ask: Ask, handlers: AudienceHandlers, save: Save, database: Database, to: ClientIds | Addresses, statements: int
) -> None:
    await save({7: ANNA})
    asked: list[str] = []
    async with database.transaction() as connection:
        connection.add_query_logger(lambda record: asked.append(record.query))  # type: ignore[attr-defined]
        await handlers.on_expand_audience([received(ask(to, lane=Lane.URGENT))], connection)
    assert len([query for query in asked if "audience." in query]) == statements


def received(command: ExpandAudience) -> Received[ExpandAudience]:
    return Received(command, "expand.audience", 0, 0, datetime(2026, 11, 22, 12, tzinfo=UTC), None)


async def test_nobody_is_left_of_an_audience(ask: Ask, run: Run, save: Save) -> None:
    await save({1: None})
    suppressed, expanded = await run(ask([1, 2]))
    assert isinstance(suppressed.message, DeliverySuppressed)
    assert (suppressed.message.client_ids, suppressed.message.rules) == ((1, 2), ("no_phone", "unknown_client"))
    assert suppressed.message.first_number == 0
    assert isinstance(expanded.message, NotificationExpanded)
    assert (expanded.message.planned, expanded.message.suppressed) == (0, 2)


@pytest.mark.parametrize("lane", list(Lane))
async def test_a_redelivered_page_says_the_same_whatever_has_changed(
    ask: Ask, run: Run, save: Save, lane: Lane
) -> None:
    await save({1: ANNA, 2: JAN, 3: None})
    command = ask([1, 2, 3, 4], lane=lane)
    first = await run(command)
    await save({1: None, 2: ANNA, 3: JAN, 4: "+48600000004"})
    assert wire_bytes(await run(command)) == wire_bytes(first)
    # The fresh page of another notification does see the change.
    assert of_type(await run(ask([1, 2, 3, 4], lane=lane)), NotificationExpanded)[0].planned == 3


async def test_a_page_that_was_not_committed_is_decided_by_the_second_run(
    ask: Ask, run: Run, save: Save, database: Database, handlers: AudienceHandlers
) -> None:
    await save({1: ANNA})
    command = ask([1])

    async def crash_before_the_commit() -> None:
        async with database.transaction() as connection:
            await handlers.on_expand_audience([received(command)], connection)
            raise RuntimeError("the process dies here")

    with pytest.raises(RuntimeError):
        await crash_before_the_commit()
    await save({1: JAN})
    assert of_type(await run(command), SendDeliveries)[0].addresses == (JAN,)


async def test_twenty_five_thousand_in_three_pages(ask: Ask, run: Run, save: Save) -> None:
    count = 25_000
    # The last thousand share their phones with the first thousand, on another page; every hundredth has none.
    phones: dict[int, str | None] = {n: f"+48{600_000_000 + n % (count - 1_000)}" for n in range(count)}
    phones |= dict.fromkeys(range(50, count, 100))
    await save(phones)
    command = ask(range(count))
    published = await expand(run, command)

    pages = [command, *of_type(published, ExpandAudience)]
    assert [page.page for page in pages] == [0, 1, 2]
    assert [page.cursor for page in pages] == [None, str(PAGE), str(2 * PAGE)]
    assert {page.key for page in pages} == {command.key}
    assert [outgoing.topic for outgoing in published if isinstance(outgoing.message, ExpandAudience)] == [
        EXPAND_AUDIENCE.bulk
    ] * 2

    sent, left = of_type(published, SendDeliveries), of_type(published, DeliverySuppressed)
    by_id = Counter(client_id for message in [*sent, *left] for client_id in message.client_ids)
    assert by_id == Counter(range(count))
    numbers = [m.first_number + i for m in [*sent, *left] for i in range(len(m.client_ids))]
    assert sorted(numbers) == list(range(count))
    addresses = [address for message in sent for address in message.addresses]
    assert len(addresses) == len(set(addresses)) == count - 1_000 - 240
    assert len({message.chunk_id for message in sent}) == len(sent)
    assert all(
        outgoing.partition == partition_of("demo", address, 24)
        for outgoing in published
        if isinstance(outgoing.message, SendDeliveries)
        for address in outgoing.message.addresses
    )
    assert Counter(rule for message in left for rule in message.rules) == {"duplicate_address": 990, "no_phone": 250}
    (expanded,) = of_type(published, NotificationExpanded)
    assert (expanded.planned, expanded.suppressed) == (len(addresses), count - len(addresses))
    assert len({outgoing.message.event_id for outgoing in published}) == len(published)


async def test_every_page_may_be_redelivered_at_any_time(ask: Ask, run: Run, save: Save) -> None:
    count = PAGE + 10
    await save({n: f"+48{600_000_000 + n % PAGE}" for n in range(count)})
    first = ask(range(count))
    page_0 = await run(first)
    (second,) = of_type(page_0, ExpandAudience)
    page_1 = await run(second)
    await save(dict.fromkeys(range(count)))
    # Page 0 again, as after a crash between its commit and its offset: its next page comes again too.
    again_0 = await run(first)
    again_1 = await run(second, second)
    assert wire_bytes(again_0) == wire_bytes(page_0)
    assert wire_bytes(again_1) == wire_bytes(page_1) * 2
    (expanded,) = of_type(page_1, NotificationExpanded)
    assert (expanded.planned, expanded.suppressed) == (PAGE, 10)


async def test_addresses_are_unique_over_all_pages(ask: Ask, run: Run) -> None:
    addresses = tuple(f"+48{600_000_000 + n % PAGE}" for n in range(PAGE + 5))
    published = await expand(run, ask(Addresses(addresses=addresses)))
    sent = [address for message in of_type(published, SendDeliveries) for address in message.addresses]
    assert sorted(sent) == sorted(set(addresses))
    assert {client_id for message in of_type(published, SendDeliveries) for client_id in message.client_ids} == {None}
    (expanded,) = of_type(published, NotificationExpanded)
    assert (expanded.planned, expanded.suppressed) == (PAGE, 5)


async def test_a_new_step_or_generation_reaches_the_same_people_again(ask: Ask, run: Run, save: Save) -> None:
    await save({1: ANNA})
    first = ask([1])
    number = first.notification.notification_id
    sent = [
        of_type(await run(command), SendDeliveries)[0]
        for command in (
            first,
            ask([1], notification_id=number, step=1),
            ask([1], notification_id=number, generation=1),
        )
    ]
    assert len({message.chunk_id for message in sent}) == 3
    assert [(message.step, message.generation) for message in sent] == [(0, 0), (1, 0), (0, 1)]


async def test_a_page_without_the_ones_before_it_is_refused(ask: Ask, run: Run) -> None:
    command = ask([1, 2]).model_copy(update={"page": 1, "cursor": "1"})
    with pytest.raises(ValueError, match="pages before it"):
        await run(command)


async def test_two_processes_at_the_same_page_publish_the_same(
    ask: Ask, save: Save, database: Database, handlers: AudienceHandlers
) -> None:
    """A process that lost its partition finishes its batch while the new owner works on it already."""
    await save({1: ANNA})
    command = ask([1])
    decided, proceed = asyncio.Event(), asyncio.Event()

    async def first() -> list[Outgoing]:
        async with database.transaction() as connection:
            effect = await handlers.on_expand_audience([received(command)], connection)
            decided.set()
            await proceed.wait()
        return list(effect.publish)

    async def second() -> list[Outgoing]:
        await decided.wait()
        await save({1: JAN})
        async with database.transaction() as connection:
            working = asyncio.create_task(handlers.on_expand_audience([received(command)], connection))
            await _until_it_waits_for_a_lock(database)
            proceed.set()
            return list((await working).publish)

    ours, theirs = await asyncio.gather(first(), second())
    assert wire_bytes(ours) == wire_bytes(theirs)
    assert of_type(ours, SendDeliveries)[0].addresses == (ANNA,)


async def _until_it_waits_for_a_lock(database: Database) -> None:
    async with asyncio.timeout(5):
        while True:
            async with database.connection() as connection:
                waiting = """SELECT count(*) FROM pg_stat_activity
                             WHERE datname = current_database() AND wait_event_type = 'Lock'"""
                if await connection.fetchval(waiting):
                    return
            await asyncio.sleep(0.01)


async def test_a_batch_of_many_tenants_and_notifications(ask: Ask, run: Run, save: Save) -> None:
    await save({1: ANNA, 2: JAN}, tenant="demo")
    await save({1: JAN}, tenant="other")
    commands = [ask([1], tenant="demo"), ask([1], tenant="other"), ask([2, 1], tenant="other"), ask([2], tenant="demo")]
    sent = of_type(await run(*commands), SendDeliveries)
    assert [(message.tenant, message.client_ids, message.addresses) for message in sent] == [
        ("demo", (1,), (ANNA,)),
        ("other", (1,), (JAN,)),
        ("other", (1,), (JAN,)),
        ("demo", (2,), (JAN,)),
    ]


contacts_of_a_tenant = st.dictionaries(
    st.integers(1, 12), st.none() | st.integers(600_000_000, 600_000_006).map(lambda n: f"+48{n}"), max_size=12
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mine=contacts_of_a_tenant,
    theirs=contacts_of_a_tenant,
    asked=st.lists(st.integers(1, 14), min_size=1, max_size=14, unique=True),
    data=st.data(),
)
async def test_a_tenant_s_plan_depends_on_nobody_else(
    ask: Ask,
    run: Run,
    save: Save,
    database: Database,
    mine: dict[int, str | None],
    theirs: dict[int, str | None],
    asked: list[int],
    data: st.DataObject,
) -> None:
    """Two tenants with the same client ids and even the same notification id: each sees its own contacts and plan."""
    async with database.transaction() as connection:
        await _forget_everything(connection)
    await save(mine, tenant="mine")
    await save(theirs, tenant="theirs")
    number = new_notification_id(datetime.now(UTC))
    commands = [ask(asked, tenant=tenant, notification_id=number) for tenant in ("mine", "theirs")]
    together = data.draw(st.booleans())
    published = await run(*commands) if together else [*await run(commands[0]), *await run(commands[1])]
    for tenant, contacts in (("mine", mine), ("theirs", theirs)):
        own = [outgoing for outgoing in published if outgoing.message.tenant == tenant]
        planned = {
            client_id: address
            for message in of_type(own, SendDeliveries)
            for client_id, address in zip(message.client_ids, message.addresses, strict=True)
        }
        assert planned.items() <= contacts.items()
        assert set(planned.values()) == {contacts[n] for n in asked if contacts.get(n)}
        (expanded,) = of_type(own, NotificationExpanded)
        assert (expanded.planned, expanded.suppressed) == (len(planned), len(asked) - len(planned))


async def _forget_everything(connection: Connection) -> None:
    await connection.execute("TRUNCATE audience.contact, audience.page")
