"""A channel's parts, put together: from a staged chunk to a reported result."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from libs import runtime
from libs.bus import Bus
from libs.contracts.commands import SendDeliveries
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.contracts.topics import NOTIFICATION_CONTROLLED, SEND, Lanes
from libs.storage import Database, Store
from services.dispatchers.claiming import Claimer, Turns
from services.dispatchers.ending import Ender
from services.dispatchers.funds import segments_if_charged
from services.dispatchers.gates import GateHandlers
from services.dispatchers.handlers import DispatchHandlers
from services.dispatchers.holdings import Holdings
from services.dispatchers.leases import LEASE, submit_within
from services.dispatchers.pacing import REACH, Pacer
from services.dispatchers.recording import Recorder
from services.dispatchers.reporting import Publisher, Reporter
from services.dispatchers.repository import (
    ClaimRepository,
    EndingRepository,
    GateRepository,
    Owner,
    RateRepository,
    RecordRepository,
    UpkeepRepository,
)
from services.dispatchers.route import Route, Unknown
from services.dispatchers.sweeping import Sweeper
from services.dispatchers.ways import Ways
from services.dispatchers.windows import Room

SCHEMA = "dispatch"
# A chunk of the bulk lane holds up to 500 recipients: two dozen are a transaction of a good size.
BATCH = {Lane.URGENT: 200, Lane.BULK: 24}
# Of the 20 s a process has to stop: answers in flight, then the record, then the report.
STOP_IN_FLIGHT, STOP_RECORD, STOP_REPORT = 10.0, 2.0, 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a process may hold claimed, of one tenant in a lane and over all, and for how long. `price` in
    micro-units for a segment (0: nobody is metered)."""

    windows: Mapping[Lane, int]
    total: int
    lease: timedelta = LEASE
    price: int = 0


class Dispatching:
    """The working parts of one channel, not started yet."""

    def __init__(
        self,
        channel: Channel,
        *,
        database: Database,
        routes: Sequence[Route],
        bus: Publisher,
        owner: Owner,
        limits: Limits,
        now: Callable[[], datetime],
        partitions: Callable[[Lane], Sequence[int] | None] = lambda lane: None,
    ) -> None:
        self.channel = channel
        self._turns = Turns()
        self._holdings = Holdings(
            Room(per_tenant=limits.windows, total=limits.total, per_route=room_of(routes, limits)),
            submit_within=submit_within(limits.lease),
            parks=partial(parks, routes),
        )
        self._claims = ClaimRepository(channel, owner, lease=limits.lease, price=limits.price)
        self._records = RecordRepository(limits.lease)
        self._gates = GateRepository()
        self._reporter = Reporter(database, self._records, bus)
        self._recorder = Recorder(
            database,
            self._records,
            self._holdings,
            held_for=lambda window: self._ways.held_for(window),  # noqa: PLW0108 - it is made below, of the recorder
            now=now,
            recorded=self._reporter.recorded,
            freed=self._turns.wake.set,
        )
        self._ways = Ways(routes, finished=self._recorder.finished, pacer=partial(pacer_of, database, channel))
        self._claimer = Claimer(
            database=database,
            repository=self._claims,
            holdings=self._holdings,
            ways=self._ways,
            turns=self._turns,
            partitions=partitions,
        )
        self._ender = Ender(
            database,
            EndingRepository(channel, owner, price=limits.price),
            self._gates,
            now=now,
            recorded=self._reporter.recorded,
        )
        self._segments = segments_if_charged(limits.price)
        self._sweeper = Sweeper(database, UpkeepRepository(channel, owner), self._records, bus)

    def handlers(self, lane: Lane) -> DispatchHandlers:
        """The subscription of a lane."""
        return DispatchHandlers(
            lane,
            repository=self._claims,
            holdings=self._holdings,
            ways=self._ways,
            turns=self._turns,
            segments=self._segments,
        )

    def gate_handlers(self) -> GateHandlers:
        """The subscription to what the owners of notifications decide."""
        return GateHandlers(self._gates, self._decided)

    def _decided(self, opened: Iterable[str]) -> None:
        for tenant in opened:
            for lane in (Lane.URGENT, Lane.BULK):
                self._turns.add(lane, tenant)
        self._ender.wake.set()

    async def start(self, stack: AsyncExitStack) -> None:
        """Settle what an earlier life held, then work until `stack` unwinds. Raises Unavailable."""
        await self._sweeper.start()
        await self._ender.start()
        runtime.background(stack, self._recorder.run, "record")
        runtime.background(stack, self._reporter.run, "report")
        runtime.background(stack, self._claimer.run, "claim")
        runtime.background(stack, self._sweeper.run, "sweep")
        runtime.background(stack, self._ender.run, "end")
        for name, run in self._ways.pacers().items():
            runtime.background(stack, run, f"pace {name}")

    async def stop(self) -> None:
        """Submit nothing more, finish what is in flight within a bound, record and report it. What had not been
        submitted becomes exceptions that are due at once: not an attempt."""
        await self._ways.stop(STOP_IN_FLIGHT)
        await self._recorder.flush(STOP_RECORD)
        await self._reporter.flush(STOP_REPORT)

    def checks(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """For health, by the name of the route: each raises Unavailable while our account is refused."""
        return {name: partial(self._ways.check, name) for name in self._ways.names}


def parks(routes: Sequence[Route], name: str, message_class: MessageClass) -> bool:
    """Whether a route leaves messages that may have been sent to an operator."""
    return any(each.name == name and each.unknown_policy(message_class) is Unknown.PARK for each in routes)


def room_of(routes: Sequence[Route], limits: Limits) -> Mapping[str, int]:
    """How much of the room each route may take: half of it where there are several, so that one that is dead leaves the
    others room; and one that has a rate what it sends in a sixth of the time there is to submit it, so that six
    processes can share the rate and put nothing off."""
    most = limits.total if len(routes) == 1 else max(1, limits.total // 2)
    reach = min(REACH, submit_within(limits.lease) / 6)
    return {route.name: min(most, max(1, int(route.rate * reach))) if route.rate else most for route in routes}


def pacer_of(database: Database, channel: Channel, route: Route) -> Pacer | None:
    """What keeps a route to its rate, if it has one."""
    return Pacer(route.rate, RateRepository(database, channel, route.name, route.rate).take) if route.rate else None


def wire(bus: Bus, database: Database, dispatching: Dispatching, lanes: Sequence[Lane]) -> None:
    """Subscribe to the channel's chunks on the lanes this process serves."""
    topics: Lanes[SendDeliveries] = SEND[dispatching.channel]
    for lane in lanes:
        handler = dispatching.handlers(lane).on_send_deliveries
        bus.subscribe(topics[lane], handler, Store(database, SCHEMA), max_records=BATCH[lane])
    bus.subscribe(
        NOTIFICATION_CONTROLLED, dispatching.gate_handlers().on_notification_controlled, Store(database, SCHEMA)
    )


def partitions_of(bus: Bus, channel: Channel) -> Callable[[Lane], Sequence[int]]:
    """Which of a lane's partitions this process holds at the moment."""

    def held(lane: Lane) -> Sequence[int]:
        name = SEND[channel][lane].name
        return [number for one in bus.health() if one.topic == name for number in one.assigned]

    return held
