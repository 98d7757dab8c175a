"""A channel with several routes on a real Postgres: who takes what when one of them is away."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from libs.contracts.commands import SendDeliveries
from libs.contracts.events import DeliveryAttempted
from libs.contracts.outcomes import Accepted, Ambiguous, Misconfigured, Outcome, Throttled, Transient
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.contracts.states import DeliveryState
from libs.storage import Database
from services.dispatchers.breaker import PROBE_AFTER
from services.dispatchers.dispatching import Dispatching, Limits, room_of
from services.dispatchers.provider import CallFailed, Outbound
from services.dispatchers.repository import Owner
from services.dispatchers.route import Route, Unknown
from services.dispatchers.ways import Ways
from tests.services.dispatchers.making import (
    RecordingBus,
    ScriptedCarrier,
    make_chunk,
    make_window,
    received,
    until,
)

LIMITS = Limits(windows={Lane.URGENT: 500, Lane.BULK: 1000}, total=5000)


class Carrier(ScriptedCarrier):
    """One that can be broken as a whole."""

    def __init__(self, batch: int = 100) -> None:
        super().__init__(batch)
        self.is_broken = False

    async def send(self, messages: Sequence[Outbound]) -> Sequence[Outcome]:
        outcomes = await super().send(messages)
        return CallFailed([Transient("http 500")] * len(messages)) if self.is_broken else outcomes


def route(name: str, carrier: ScriptedCarrier, *, priority: int = 100, **more: object) -> Route:
    return Route(name, carrier, dict.fromkeys(Lane, 4), priority=priority, **more)  # type: ignore[arg-type]


class Office:
    """A dispatcher with a main and a spare route."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.main, self.spare = Carrier(), Carrier()
        self.bus = RecordingBus()
        self.ahead = 0.0

    @asynccontextmanager
    async def open(self, *routes: Route) -> AsyncIterator[Dispatching]:
        given = routes or (route("main", self.main, priority=1), route("spare", self.spare))
        async with AsyncExitStack() as stack:
            dispatching = Dispatching(
                Channel.SMS,
                database=self.database,
                routes=given,
                bus=self.bus,
                owner=Owner("1", uuid4()),
                limits=LIMITS,
                now=lambda: datetime.now(UTC),
            )
            await dispatching.start(stack)
            self.handlers = {lane: dispatching.handlers(lane) for lane in Lane}
            yield dispatching
            await dispatching.stop()

    async def take(self, *chunks: SendDeliveries) -> None:
        async with self.database.transaction() as connection:
            batch = [received(chunk, offset=offset) for offset, chunk in enumerate(chunks)]
            effect = await self.handlers[chunks[0].lane].on_send_deliveries(batch, connection)
        assert effect.committed is not None
        effect.committed()

    @property
    def events(self) -> list[DeliveryAttempted]:
        return [one.message for one in self.bus.published if isinstance(one.message, DeliveryAttempted)]

    def providers(self, state: DeliveryState = DeliveryState.SENT) -> dict[str, int]:
        found: dict[str, int] = {}
        for event in self.events:
            if count := event.states.count(state):
                found[event.provider] = found.get(event.provider, 0) + count
        return found

    def sent(self) -> int:
        return sum(self.providers().values())


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


def otp(size: int, **more: object) -> SendDeliveries:
    return make_chunk(size, lane=Lane.URGENT, message_class=MessageClass.OTP, **more)  # type: ignore[arg-type]


@pytest.mark.postgres
async def test_the_best_route_takes_it_and_is_named_in_the_result(office: Office) -> None:
    async with office.open():
        await office.take(make_chunk(300), make_chunk(300, tenant="other"))
        await until(lambda: office.sent() == 600)
    assert office.providers() == {"main": 600}


@pytest.mark.postgres
@pytest.mark.parametrize("refusal", [Throttled("slow down", timedelta(minutes=5)), Misconfigured("http 401")])
async def test_what_a_shut_route_did_not_take_goes_out_over_another_at_once(office: Office, refusal: Outcome) -> None:
    office.main.script = lambda message: refusal
    async with office.open():
        await office.take(make_chunk(500), make_chunk(400))
        await until(lambda: office.sent() == 900)
        await office.take(make_chunk(5))
        await until(lambda: office.sent() == 905)
    assert office.providers() == {"spare": 905}
    assert {attempt for event in office.events for attempt in event.attempts} == {1}


@pytest.mark.postgres
async def test_a_broken_route_fails_over_and_what_is_ambiguous_stays(office: Office) -> None:
    office.main.batch = 1
    office.main.script = lambda message: Ambiguous("no answer")
    async with office.open() as dispatching:
        await office.take(otp(3))
        await until(lambda: len(office.events) == 1)
        office.main.is_broken = True
        breaker = dispatching._ways._ways["main"].breaker
        while breaker.is_closed:
            requests = len(office.main.requests)
            await office.take(otp(1))
            await until(lambda before=requests: len(office.main.requests) > before)  # type: ignore[misc]
            await until(lambda: not office.main.in_flight)
        await office.take(otp(20))
        await until(lambda: office.providers().get("spare", 0) >= 20)
        maybe = "SELECT count(*) FROM dispatch.item WHERE pinned = 'main'"
        async with office.database.connection() as connection:
            assert await connection.fetchval(maybe) == 3
        office.main.is_broken = False
        office.main.script = lambda message: Accepted("ok")
        breaker._until -= PROBE_AFTER
        await until(lambda: office.providers().get("main", 0) >= 3, within=30)
        async with office.database.connection() as connection:
            assert await connection.fetchval(maybe) == 0
    assert office.events[0].provider == "main"
    assert not set(office.spare.references) & set(office.main.references[:3])


@pytest.mark.postgres
async def test_a_dead_route_of_one_tenant_leaves_the_others_alone(office: Office) -> None:
    own = route("own", office.main, tenants=frozenset({"ill"}))
    office.main.gate.clear()
    async with office.open(own, route("all", office.spare)):
        await office.take(*[make_chunk(500, tenant="ill") for _ in range(12)])
        await office.take(*[make_chunk(400, tenant=f"t{number}") for number in range(12)])
        await until(lambda: office.sent() == 4800)
        assert office.providers() == {"all": 4800}
        office.main.gate.set()
        await until(lambda: office.sent() == 10_800)
    assert office.providers() == {"all": 4800, "own": 6000}


@pytest.mark.postgres
async def test_what_may_have_been_sent_is_left_to_an_operator_where_the_route_says_so(office: Office) -> None:
    office.main.script = lambda message: Ambiguous("no answer")
    parking = route("main", office.main, unknown={MessageClass.OTP: Unknown.PARK})
    async with office.open(parking):
        await office.take(otp(3))
        await until(lambda: len(office.events) == 1)
    (event,) = office.events
    assert set(event.states) == {DeliveryState.UNKNOWN}
    assert len(office.main.references) == 3


@pytest.mark.postgres
async def test_what_an_earlier_life_may_have_sent_is_parked_too(office: Office) -> None:
    parking = route("main", office.main, unknown={MessageClass.OTP: Unknown.PARK})
    office.main.gate.clear()
    async with AsyncExitStack() as stack:
        dispatching = Dispatching(
            Channel.SMS,
            database=office.database,
            routes=[parking],
            bus=office.bus,
            owner=Owner("1", uuid4()),
            limits=LIMITS,
            now=lambda: datetime.now(UTC),
        )
        await dispatching.start(stack)
        office.handlers = {lane: dispatching.handlers(lane) for lane in Lane}
        await office.take(otp(3))
        await until(lambda: office.main.in_flight == 1)
        for task in dispatching._ways._ways["main"].sender._tasks:
            task.remove_done_callback(dispatching._ways._ways["main"].sender._tasks.discard)
            task.cancel()
    office.main.gate.set()
    async with office.open(parking):
        await until(lambda: bool(office.providers(DeliveryState.UNKNOWN)))
    assert office.providers(DeliveryState.UNKNOWN) == {"main": 3}
    assert len(office.main.references) == 3


@pytest.mark.postgres
async def test_a_rated_route_is_sent_to_at_its_rate_and_nothing_is_deferred(office: Office) -> None:
    async with office.open(route("main", office.main, rate=200.0)):
        await office.take(make_chunk(300))
        await until(lambda: office.sent() == 300)
        async with office.database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM dispatch.item") == 0
    assert max(len(request) for request in office.main.requests) <= 20
    assert {attempt for event in office.events for attempt in event.attempts} == {1}


def test_room_is_halved_among_several_and_bounded_by_a_rate() -> None:
    carrier = ScriptedCarrier()
    assert room_of([route("a", carrier)], LIMITS) == {"a": 5000}
    assert room_of([route("a", carrier, rate=50.0)], LIMITS) == {"a": 500}
    assert room_of([route("a", carrier, rate=0.01), route("b", carrier)], LIMITS) == {"a": 1, "b": 2500}


def ways(*routes: Route) -> Ways:
    return Ways(routes, finished=lambda window: None)


def test_a_tenant_without_a_route_has_none() -> None:
    only = ways(route("own", ScriptedCarrier(), tenants=frozenset({"demo"})))
    assert only.open_to("demo") == "own"
    assert only.open_to("somebody") is None
    assert not only.is_open("gone")


def test_what_is_left_of_a_window_waits_only_where_nobody_else_takes_it() -> None:
    two = ways(route("main", ScriptedCarrier(), priority=1), route("spare", ScriptedCarrier()))
    window = make_window(make_chunk(2))
    window.route = "main"
    assert two.held_for(window) == 0
    way = two._ways["main"]
    way.hold.refused_account(two._clock(), "401")
    assert two.held_for(window) == 0
    two._ways["spare"].hold.refused_account(two._clock(), "401")
    assert two.held_for(window) > 20
    assert two.open_to("demo") is None
