"""Claims what waits: the urgent lane first, tenants in turn, each for its best open route, as much as there is room."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from libs.contracts.failures import Unavailable
from libs.contracts.routing import Lane
from libs.storage import Database
from services.dispatchers.holdings import Holdings
from services.dispatchers.repository import Claimed, ClaimRepository
from services.dispatchers.ways import Ways

logger = logging.getLogger(__name__)

# How often the database is asked for what nobody told us about: exceptions that became due, what another process left.
POLL = 1.0
MOST_CHUNKS = 64
Partitions = Callable[[Lane], Sequence[int] | None]


class Turn(NamedTuple):
    """What a tenant has waiting: chunks, or exceptions, of which some may take no route but the one they are pinned
    to."""

    tenant: str
    exceptions: bool = False
    pinned: str | None = None


class Turns:
    """Who may have something to claim, in the order of their turns. `wake` is set when that changes."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self._order: dict[Lane, dict[Turn, None]] = {lane: {} for lane in (Lane.URGENT, Lane.BULK)}

    def add(self, lane: Lane, tenant: str, *, exceptions: bool = False, pinned: str | None = None) -> None:
        """Let a tenant have a turn, unless it has one."""
        self._order[lane].setdefault(Turn(tenant, exceptions, pinned))
        self.wake.set()

    def take(self, lane: Lane) -> list[Turn]:
        """Everybody whose turn it is, once."""
        return list(self._order[lane])

    def had(self, lane: Lane, turn: Turn, *, more: bool) -> None:
        """A turn is over: to the end of the line, or out of it."""
        self._order[lane].pop(turn, None)
        if more:
            self._order[lane][turn] = None


class Claimer:
    """One channel's claims. `partitions` says which of a lane's partitions this process holds (none: it does not
    matter): only their chunks are claimed, so that one recipient's messages stay in one process."""

    def __init__(
        self,
        *,
        database: Database,
        repository: ClaimRepository,
        holdings: Holdings,
        ways: Ways,
        turns: Turns,
        partitions: Partitions,
    ) -> None:
        self._database = database
        self._repository = repository
        self._holdings = holdings
        self._ways = ways
        self._turns = turns
        self._partitions = partitions
        self._typical = dict.fromkeys(Lane, 1)  # deliveries in a chunk, by the last claim of the lane

    async def run(self) -> None:
        """Claim until cancelled. An Unavailable database costs a pause."""
        polled_at = float("-inf")
        while True:
            try:
                if self._holdings.clock() - polled_at >= POLL:
                    await self._poll()
                    polled_at = self._holdings.clock()
                self._turns.wake.clear()
                if await self._round():
                    continue
            except Unavailable as error:
                logger.warning("cannot claim", extra={"reason": str(error)})
            # Not wait_for: on Python 3.11 it loses a cancellation that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await self._turns.wake.wait()

    async def _poll(self) -> None:
        async with self._database.connection() as connection:
            for waiting in await self._repository.waiting(connection):
                self._turns.add(waiting.lane, waiting.tenant, exceptions=waiting.exceptions, pinned=waiting.pinned)

    async def _round(self) -> bool:
        """One turn for each; whether anything was claimed."""
        claimed = False
        for lane in (Lane.URGENT, Lane.BULK):
            for turn in self._turns.take(lane):
                claimed |= await self._turn(lane, turn)
        return claimed

    async def _turn(self, lane: Lane, turn: Turn) -> bool:
        if (route := self._route_of(turn)) is None or not (free := self._worth_claiming(lane, turn.tenant, route)):
            return False
        room = self._holdings.room
        asked_at = self._holdings.clock()
        room.hold(lane, turn.tenant, route, free)
        taken = 0
        try:
            claims = await self._claim(lane, turn, route, free)
            taken = sum(len(claimed.ordinals) for claimed in claims)
        finally:
            room.release(lane, turn.tenant, route, free - taken)
        self._turns.had(lane, turn, more=bool(claims))
        self._ways.submit(lane, self._holdings.windows(claims, asked_at=asked_at))
        return bool(claims)

    def _route_of(self, turn: Turn) -> str | None:
        """The route that takes it now."""
        if turn.pinned is None:
            return self._ways.open_to(turn.tenant)
        return turn.pinned if self._ways.is_open(turn.pinned) else None

    def _worth_claiming(self, lane: Lane, tenant: str, route: str) -> int:
        """How many. Less than half of the room is not worth a claim: small windows cost the database twenty times
        more. A route that is being tried gets little in any case."""
        free = self._holdings.room.free(lane, tenant, route)
        if (most := self._ways.most(route)) is not None:
            return min(free, most)
        return free if free * 2 >= self._holdings.room.limit(lane, route) else 0

    async def _claim(self, lane: Lane, turn: Turn, route: str, room: int) -> Sequence[Claimed]:
        async with self._database.connection() as connection:
            if turn.exceptions:
                return await self._repository.claim_items(connection, lane, turn.tenant, route=route, room=room)
            # As many chunks as are likely to fit: each that is looked at is locked.
            claims = await self._repository.claim_chunks(
                connection,
                lane,
                turn.tenant,
                route=route,
                room=room,
                chunks=min(MOST_CHUNKS, -(-room // self._typical[lane])),
                partitions=self._partitions(lane),
            )
        if claims:
            self._typical[lane] = max(1, sum(len(claimed.ordinals) for claimed in claims) // len(claims))
        return claims
