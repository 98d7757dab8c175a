"""One route's parts, put together: from a staged chunk to a reported result."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime

from libs import runtime
from libs.bus import Bus
from libs.contracts.commands import SendDeliveries
from libs.contracts.failures import Unavailable
from libs.contracts.routing import Channel, Lane
from libs.contracts.topics import SEND, Lanes
from libs.storage import Database, Store
from services.dispatchers.claiming import Claimer, Turns
from services.dispatchers.handlers import DispatchHandlers
from services.dispatchers.holding import RouteHold
from services.dispatchers.holdings import Holdings
from services.dispatchers.provider import Carrier
from services.dispatchers.recording import Recorder
from services.dispatchers.reporting import Publisher, Reporter
from services.dispatchers.repository import ClaimRepository, Owner, UpkeepRepository
from services.dispatchers.sending import Sender
from services.dispatchers.sweeping import Sweeper
from services.dispatchers.windows import Room

SCHEMA = "dispatch"
# A chunk of the bulk lane holds up to 500 recipients: two dozen are a transaction of a good size.
BATCH = {Lane.URGENT: 200, Lane.BULK: 24}
# Of the 20 s a process has to stop: answers in flight, then the record, then the report.
STOP_IN_FLIGHT, STOP_RECORD, STOP_REPORT = 10.0, 2.0, 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a process may hold claimed and have in flight."""

    windows: Mapping[Lane, int]
    total: int
    concurrency: Mapping[Lane, int]


class Dispatching:
    """The working parts of one channel on one route, not started yet."""

    def __init__(
        self,
        channel: Channel,
        *,
        database: Database,
        carrier: Carrier,
        bus: Publisher,
        owner: Owner,
        limits: Limits,
        now: Callable[[], datetime],
        partitions: Callable[[Lane], Sequence[int] | None] = lambda lane: None,
    ) -> None:
        self.channel = channel
        self._hold = RouteHold()
        self._turns = Turns()
        self._holdings = Holdings(Room(per_tenant=limits.windows, total=limits.total))
        self._claims = ClaimRepository(channel, carrier.name, owner)
        self._reporter = Reporter(database, self._claims, bus)
        self._recorder = Recorder(
            database,
            self._claims,
            self._holdings,
            self._hold,
            provider=carrier.name,
            now=now,
            recorded=self._reporter.recorded,
            freed=self._turns.wake.set,
        )
        self._sender = Sender(carrier, self._hold, concurrency=limits.concurrency, finished=self._recorder.finished)
        self._claimer = Claimer(
            database=database,
            repository=self._claims,
            holdings=self._holdings,
            hold=self._hold,
            sender=self._sender,
            turns=self._turns,
            partitions=partitions,
        )
        self._sweeper = Sweeper(database, UpkeepRepository(channel, owner), self._claims, bus)

    def handlers(self, lane: Lane) -> DispatchHandlers:
        """The subscription of a lane."""
        return DispatchHandlers(
            lane,
            repository=self._claims,
            holdings=self._holdings,
            hold=self._hold,
            sender=self._sender,
            turns=self._turns,
        )

    async def start(self, stack: AsyncExitStack) -> None:
        """Settle what an earlier life held, then work until `stack` unwinds. Raises Unavailable."""
        await self._sweeper.start()
        runtime.background(stack, self._recorder.run, "record")
        runtime.background(stack, self._reporter.run, "report")
        runtime.background(stack, self._claimer.run, "claim")
        runtime.background(stack, self._sweeper.run, "sweep")

    async def stop(self) -> None:
        """Submit nothing more, finish what is in flight within a bound, record and report it. What had not been
        submitted becomes exceptions that are due at once: not an attempt."""
        await self._sender.stop(STOP_IN_FLIGHT)
        await self._recorder.flush(STOP_RECORD)
        await self._reporter.flush(STOP_REPORT)

    async def check_route(self) -> None:
        """For health. Raises Unavailable while our account with the carrier is refused."""
        if self._hold.misconfigured:
            raise Unavailable(f"the carrier refuses our account: {self._hold.misconfigured}")


def wire(bus: Bus, database: Database, dispatching: Dispatching, lanes: Sequence[Lane]) -> None:
    """Subscribe to the channel's chunks on the lanes this process serves."""
    topics: Lanes[SendDeliveries] = SEND[dispatching.channel]
    for lane in lanes:
        handler = dispatching.handlers(lane).on_send_deliveries
        bus.subscribe(topics[lane], handler, Store(database, SCHEMA), max_records=BATCH[lane])


def partitions_of(bus: Bus, channel: Channel) -> Callable[[Lane], Sequence[int]]:
    """Which of a lane's partitions this process holds at the moment."""

    def held(lane: Lane) -> Sequence[int]:
        name = SEND[channel][lane].name
        return [number for one in bus.health() if one.topic == name for number in one.assigned]

    return held
