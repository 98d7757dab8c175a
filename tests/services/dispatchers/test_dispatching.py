"""All parts of a dispatcher on a real Postgres, killed at each point of the protocol."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from libs.bus import Effect
from libs.contracts.commands import SendDeliveries
from libs.contracts.events import DeliveryAttempted
from libs.contracts.failures import Unavailable
from libs.contracts.ids import delivery_id, new_notification_id, provider_key
from libs.contracts.outcomes import Accepted, Ambiguous, Misconfigured, Permanent, Throttled, Transient
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.contracts.states import DeliveryState
from libs.storage import Database
from services.dispatchers.dispatching import Dispatching, Limits
from services.dispatchers.repository import Owner, UpkeepRepository
from services.dispatchers.route import Route
from services.dispatchers.ways import Way
from tests.services.dispatchers.making import RecordingBus, ScriptedCarrier, in_future, make_chunk, received, until

pytestmark = pytest.mark.postgres

LIMITS = Limits(windows={Lane.URGENT: 500, Lane.BULK: 1000}, total=5000)
CONCURRENCY = {Lane.URGENT: 4, Lane.BULK: 2}


class Life:
    """One life of a dispatcher process."""

    def __init__(
        self,
        database: Database,
        carrier: ScriptedCarrier,
        bus: RecordingBus,
        limits: Limits,
        concurrency: Mapping[Lane, int],
    ) -> None:
        self.database = database
        self.dispatching = Dispatching(
            Channel.SMS,
            database=database,
            routes=[Route(carrier.name, carrier, concurrency)],
            bus=bus,
            owner=Owner("1", uuid4()),
            limits=limits,
            now=lambda: datetime.now(UTC),
        )
        self.handlers = {lane: self.dispatching.handlers(lane) for lane in Lane}

    @property
    def way(self) -> Way:
        """The only one."""
        (way,) = self.dispatching._ways._ways.values()
        return way

    async def stage(self, *chunks: SendDeliveries) -> Effect:
        """What the bus does up to the commit."""
        async with self.database.transaction() as connection:
            return await self.handlers[chunks[0].lane].on_send_deliveries(
                [received(chunk, offset=offset) for offset, chunk in enumerate(chunks)], connection
            )

    async def take(self, *chunks: SendDeliveries) -> None:
        effect = await self.stage(*chunks)
        assert effect.committed is not None
        effect.committed()


class World:
    """A database, a carrier and a bus that outlive the dispatcher."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.carrier = ScriptedCarrier()
        self.bus = RecordingBus()
        self.concurrency = CONCURRENCY

    @asynccontextmanager
    async def life(self, limits: Limits = LIMITS, *, orderly: bool = False) -> AsyncIterator[Life]:
        """Ends like a kill unless it is to stop in order."""
        async with AsyncExitStack() as stack:
            life = Life(self.database, self.carrier, self.bus, limits, self.concurrency)
            await life.dispatching.start(stack)
            yield life
            if orderly:
                await life.dispatching.stop()
            else:
                for way in life.dispatching._ways._ways.values():
                    for task in way.sender._tasks:
                        task.remove_done_callback(way.sender._tasks.discard)
                        task.cancel()

    @property
    def events(self) -> list[DeliveryAttempted]:
        return [one.message for one in self.bus.published if isinstance(one.message, DeliveryAttempted)]

    def states(self) -> dict[int, DeliveryState]:
        return {
            number: state for event in self.events for number, state in zip(event.numbers, event.states, strict=True)
        }

    async def count(self, sql: str) -> int:
        async with self.database.connection() as connection:
            return int(await connection.fetchval(sql))

    async def holds(self, sql: str, within: float = 10.0) -> None:
        """Poll until the query says true."""
        async with asyncio.timeout(within):
            while not await self.count(f"SELECT ({sql})::int"):
                await asyncio.sleep(0.01)

    async def all_reported(self) -> None:
        await self.holds("SELECT NOT EXISTS (SELECT FROM dispatch.claim WHERE state IN ('held', 'done'))")


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


async def test_a_chunk_is_sent_recorded_and_reported(world: World) -> None:
    chunk = make_chunk(250)
    async with world.life() as life:
        await life.take(chunk)
        await until(lambda: len(world.events) == 1)
        await world.all_reported()
    assert [len(request) for request in world.carrier.requests] == [100, 100, 50]
    (event,) = world.events
    assert DeliveryAttempted.model_validate(event.model_dump()) == event
    assert event.numbers == tuple(range(250))
    assert set(event.states) == {DeliveryState.SENT}
    keys = [provider_key(delivery_id(chunk.notification_id, number), 0).hex for number in range(250)]
    assert world.carrier.references == keys
    assert event.provider_message_ids == tuple(f"id-{key}" for key in keys)
    assert await world.count("SELECT count(*) FROM dispatch.item") == 0


async def test_what_has_no_room_is_staged_and_claimed_later_in_order(world: World) -> None:
    chunks = [make_chunk(400, tenant=tenant) for tenant in ("a", "a", "a", "a", "b")]
    world.carrier.gate.clear()
    async with world.life() as life:
        await life.take(*chunks)
        assert await world.count("SELECT count(*) FROM dispatch.claim") == 3  # two of a, one of b
        world.carrier.gate.set()
        await until(lambda: len(world.events) == 5)
    order = [event.chunk_id for event in world.events if event.tenant == "a"]
    assert set(order[:2]) == {chunk.chunk_id for chunk in chunks[:2]}
    assert len(set(world.carrier.references)) == len(world.carrier.references) == 2000


async def test_a_process_never_holds_more_than_its_published_bound(world: World) -> None:
    limits = Limits(windows={Lane.URGENT: 50, Lane.BULK: 100}, total=200)
    world.carrier.gate.clear()
    async with world.life(limits) as life:
        await life.take(*[make_chunk(60, tenant=f"t{number}") for number in range(10)])
        await life.take(make_chunk(500, tenant="large"))
        await asyncio.sleep(0.2)
        held = "SELECT coalesce(sum(hi - lo), 0) FROM dispatch.claim WHERE state = 'held'"
        assert await world.count(held) <= 160  # a fifth is the urgent lane's
        await life.take(make_chunk(1, lane=Lane.URGENT))
        assert await world.count(held) <= 161
        world.carrier.gate.set()
        await until(lambda: sum(len(event.numbers) for event in world.events) == 1101)
        await until(lambda: life.dispatching._holdings.room.held == 0)


async def test_one_recipient_gets_his_messages_one_after_another(world: World) -> None:
    chunks = [make_chunk(1, addresses=["+48500000001"]) for _ in range(6)]
    world.carrier.batch = 1
    world.concurrency = {Lane.URGENT: 9, Lane.BULK: 9}
    async with world.life() as life:
        await life.take(*chunks)
        await until(lambda: len(world.carrier.requests) == 6)
        await until(lambda: sum(len(event.numbers) for event in world.events) == 6)
    assert world.carrier.most_in_flight == 1
    expected = [provider_key(delivery_id(chunk.notification_id, 0), 0).hex for chunk in chunks]
    assert world.carrier.references == expected


CRASHES = ["staged", "claimed", "sent", "recorded", "reported"]


@pytest.mark.parametrize("point", CRASHES)
async def test_a_crash_at_any_point_loses_nothing(world: World, point: str) -> None:
    """The next life brings every delivery to its end; only what was claimed and not recorded is sent twice, with the
    same key; what was recorded and not reported is reported with the same id."""
    chunk = make_chunk(5, lane=Lane.URGENT, message_class=MessageClass.OTP)
    async with world.life() as life:
        if point == "staged":
            life.way.sender._stopping = True
        if point in ("claimed", "sent"):
            world.carrier.gate.clear()
        if point == "recorded":
            world.bus.is_away = True
        if point == "claimed":
            await life.stage(chunk)  # killed between the commit and the first request
        else:
            await life.take(chunk)
        if point == "sent":
            await until(lambda: bool(world.carrier.requests))
        if point == "recorded":
            await world.holds("SELECT count(*) = 1 FROM dispatch.claim WHERE state = 'done'")
        if point == "reported":
            await world.all_reported()
    world.carrier.gate.set()
    world.bus.is_away = False
    async with world.life() as life:
        await life.take(chunk)  # its offset was never committed
        await until(lambda: len(world.states()) == 5)
        await world.all_reported()
    assert set(world.states().values()) == {DeliveryState.SENT}
    assert len(set(world.carrier.references)) == 5
    assert len(world.carrier.references) == (10 if point == "sent" else 5)
    assert len(world.events) == 1


async def test_what_kafka_did_not_take_is_reported_as_soon_as_it_is_back(world: World) -> None:
    world.bus.is_away = True
    async with world.life() as life:
        await life.take(make_chunk(3, lane=Lane.URGENT))
        await world.holds("SELECT count(*) = 1 FROM dispatch.claim WHERE state = 'done'")
        world.bus.is_away = False
        await until(lambda: len(world.events) == 1)
        await world.all_reported()


async def test_a_process_whose_lease_ended_writes_and_publishes_nothing(world: World) -> None:
    chunk = make_chunk(3, lane=Lane.URGENT)
    world.carrier.gate.clear()
    async with world.life() as life:
        await life.take(chunk)
        await until(lambda: bool(world.carrier.requests))
        async with world.database.connection() as connection:
            await connection.execute("UPDATE dispatch.claim SET lease_until = now() - interval '1 second'")
            # Unless the first sweep of the process itself was quicker.
            await UpkeepRepository(Channel.SMS, Owner("2", uuid4())).settle_expired(connection)
            while await connection.fetchval("SELECT count(*) FROM dispatch.claim WHERE state <> 'lost'"):
                await asyncio.sleep(0.01)
        world.carrier.gate.set()
        await until(lambda: len(world.events) == 1)
        await world.all_reported()
    assert world.events[0].attempts == (2, 2, 2)
    assert len(world.carrier.references) == 6


async def test_a_rolled_back_batch_gives_its_room_back(world: World) -> None:
    limits = Limits(windows={Lane.URGENT: 10, Lane.BULK: 10}, total=20)
    async with world.life(limits) as life:
        for _ in range(3):
            with pytest.raises(RuntimeError):
                async with world.database.transaction() as connection:
                    await life.handlers[Lane.BULK].on_send_deliveries([received(make_chunk(9))], connection)
                    raise RuntimeError
        await life.take(make_chunk(9))
        await until(lambda: len(world.events) == 1)
        await until(lambda: life.dispatching._holdings.room.held == 0)


async def test_transient_failures_are_retried_and_told(world: World) -> None:
    tries: dict[str, int] = {}

    def script(message: object) -> Accepted | Transient:
        reference = message.reference  # type: ignore[attr-defined]
        tries[reference] = tries.get(reference, 0) + 1
        return Transient("busy") if tries[reference] == 1 else Accepted("ok")

    world.carrier.script = script
    async with world.life() as life:
        await life.take(make_chunk(3, lane=Lane.URGENT, message_class=MessageClass.OTP))
        await until(lambda: DeliveryState.SENT in world.states().values())
        await until(lambda: set(world.states().values()) == {DeliveryState.SENT})
    first = world.events[0]
    assert (set(first.states), set(first.reasons), first.attempts) == (
        {DeliveryState.RETRYING},
        {"busy"},
        (1, 1, 1),
    )
    assert await world.count("SELECT count(*) FROM dispatch.item") == 0


async def test_a_definite_refusal_ends_a_delivery(world: World) -> None:
    world.carrier.script = lambda message: Permanent("invalid_number")
    async with world.life() as life:
        await life.take(make_chunk(2))
        await until(lambda: len(world.events) == 1)
    assert set(world.states().values()) == {DeliveryState.CARRIER_REJECTED}
    assert await world.count("SELECT count(*) FROM dispatch.item") == 0


async def test_an_ambiguous_answer_goes_out_again_under_the_same_key(world: World) -> None:
    world.carrier.script = lambda message: Ambiguous("no answer")
    chunk = make_chunk(2, lane=Lane.URGENT, message_class=MessageClass.OTP)
    async with world.life() as life:
        await life.take(chunk)
        await until(lambda: len(world.events) == 1)
        world.carrier.script = lambda message: Accepted("ok")
        await until(lambda: set(world.states().values()) == {DeliveryState.SENT})
    assert len(set(world.carrier.references)) == 2


async def test_a_throttled_route_is_held_and_costs_no_attempt(world: World) -> None:
    world.carrier.script = lambda message: Throttled("slow down", timedelta(seconds=0.3))
    async with world.life() as life:
        await life.take(make_chunk(4, lane=Lane.URGENT))
        await world.holds("SELECT count(*) = 4 FROM dispatch.item WHERE state = 'deferred' AND attempts = 0")
        assert life.way.hold.until > 0
        world.carrier.script = lambda message: Accepted("ok")
        await until(lambda: len(world.states()) == 4)
    assert [attempt for event in world.events for attempt in event.attempts] == [1, 1, 1, 1]


async def test_a_refused_account_pauses_the_route_and_burns_no_attempt(world: World) -> None:
    world.carrier.script = lambda message: Misconfigured("http 401")
    async with world.life() as life:
        await life.dispatching.checks()["scripted"]()
        await life.take(make_chunk(4))
        await world.holds("SELECT count(*) = 4 FROM dispatch.item WHERE state = 'deferred' AND attempts = 0")
        with pytest.raises(Exception, match="http 401"):
            await life.dispatching.checks()["scripted"]()
        await life.take(make_chunk(4))
        await asyncio.sleep(0.1)
        assert len(world.carrier.requests) == 1
    assert world.events == []


async def test_what_has_expired_is_told_and_never_sent(world: World) -> None:
    async with world.life() as life:
        await life.take(make_chunk(3, expires_at=in_future(seconds=-1)), make_chunk(2))
        await until(lambda: len(world.events) == 2)
    told = {event.states for event in world.events}
    assert told == {(DeliveryState.EXPIRED,) * 3, (DeliveryState.SENT,) * 2}
    assert len(world.carrier.references) == 2


async def test_an_orderly_stop_sends_nothing_twice_and_leaves_the_rest_due(world: World) -> None:
    chunks = [make_chunk(100, first=1000 * number) for number in range(6)]
    world.carrier.gate.clear()
    async with world.life() as life:
        await life.take(*chunks)
        await until(lambda: world.carrier.in_flight == 2)
        stopping = asyncio.create_task(life.dispatching.stop())
        await asyncio.sleep(0.05)
        world.carrier.gate.set()
        await stopping
        assert len(world.carrier.requests) == 2
        assert await world.count("SELECT count(*) FROM dispatch.item WHERE state = 'deferred' AND attempts = 0") == 400
        await life.take(make_chunk(3, tenant="late"))
        assert await world.count("SELECT count(*) FROM dispatch.chunk WHERE open") == 1
    async with world.life():
        await until(lambda: sum(len(event.numbers) for event in world.events) == 603)
    assert len(world.carrier.references) == len(set(world.carrier.references)) == 603


async def test_an_answer_that_comes_after_the_stop_is_ambiguous(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.dispatchers.dispatching.STOP_IN_FLIGHT", 0.05)
    world.carrier.gate.clear()
    async with world.life(orderly=True) as life:
        await life.take(make_chunk(2))
        await until(lambda: world.carrier.in_flight == 1)
    assert set(world.states().values()) == {DeliveryState.RETRYING}
    assert await world.count("SELECT count(*) FROM dispatch.item WHERE state = 'ambiguous' AND maybe_sent") == 2


async def test_a_database_that_comes_back_gets_the_results(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world.life() as life:
        real = life.dispatching._records.record
        failures = 2

        async def record(*given: object) -> object:
            nonlocal failures
            failures -= 1
            if failures >= 0:
                raise Unavailable("away")
            return await real(*given)  # type: ignore[arg-type]

        monkeypatch.setattr(life.dispatching._records, "record", record)
        await life.take(make_chunk(2))
        await until(lambda: len(world.events) == 1)
    assert len(world.carrier.requests) == 1


async def test_a_generation_has_its_own_key(world: World) -> None:
    notification = new_notification_id(datetime.now(UTC))
    async with world.life() as life:
        for generation in (0, 1):
            await life.take(make_chunk(1, notification=notification, generation=generation))
        await until(lambda: len(world.events) == 2)
    assert len(set(world.carrier.references)) == 2
