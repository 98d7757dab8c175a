"""Claims what waits: the urgent lane first, tenants in turn, as much as there is room for."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum

from libs.contracts.failures import Unavailable
from libs.contracts.routing import Lane
from libs.storage import Database
from services.dispatchers.holding import RouteHold
from services.dispatchers.holdings import Holdings
from services.dispatchers.repository import Claimed, ClaimRepository
from services.dispatchers.sending import Sender

logger = logging.getLogger(__name__)

# How often the database is asked for what nobody told us about: exceptions that became due, what another process left.
POLL = 1.0
MOST_CHUNKS = 64
Partitions = Callable[[Lane], Sequence[int] | None]


class Kind(Enum):
    """What a tenant has waiting."""

    CHUNKS = "chunks"
    ITEMS = "items"


class Turns:
    """Who may have something to claim, in the order of their turns. `wake` is set when that changes."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self._order: dict[Lane, dict[tuple[str, Kind], None]] = {lane: {} for lane in (Lane.URGENT, Lane.BULK)}

    def add(self, lane: Lane, tenant: str, kind: Kind = Kind.CHUNKS) -> None:
        """Let a tenant have a turn, unless it has one."""
        self._order[lane].setdefault((tenant, kind))
        self.wake.set()

    def take(self, lane: Lane) -> list[tuple[str, Kind]]:
        """Everybody whose turn it is, once."""
        return list(self._order[lane])

    def had(self, lane: Lane, tenant: str, kind: Kind, *, more: bool) -> None:
        """A turn is over: to the end of the line, or out of it."""
        self._order[lane].pop((tenant, kind), None)
        if more:
            self._order[lane][tenant, kind] = None


class Claimer:
    """One route's claims. `partitions` says which of a lane's partitions this process holds (none: it does not matter):
    only their chunks are claimed, so that one recipient's messages stay in one process."""

    def __init__(
        self,
        *,
        database: Database,
        repository: ClaimRepository,
        holdings: Holdings,
        hold: RouteHold,
        sender: Sender,
        turns: Turns,
        partitions: Partitions,
    ) -> None:
        self._database = database
        self._repository = repository
        self._holdings = holdings
        self._hold = hold
        self._sender = sender
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
                self._turns.add(waiting.lane, waiting.tenant, Kind.ITEMS if waiting.exceptions else Kind.CHUNKS)

    async def _round(self) -> bool:
        """One turn for each; whether anything was claimed."""
        claimed = False
        for lane in (Lane.URGENT, Lane.BULK):
            for tenant, kind in self._turns.take(lane):
                claimed |= await self._turn(lane, tenant, kind)
        return claimed

    async def _turn(self, lane: Lane, tenant: str, kind: Kind) -> bool:
        room = self._holdings.room
        free = room.free(lane, tenant)
        # Less than half of the room is not worth a claim: small windows cost the database twenty times more.
        if self._sender.is_stopping or self._hold.remaining(self._holdings.clock()) or free * 2 < room.limit(lane):
            return False
        asked_at = self._holdings.clock()
        room.hold(lane, tenant, free)
        taken = 0
        try:
            claims = await self._claim(lane, tenant, kind, free)
            taken = sum(len(claimed.ordinals) for claimed in claims)
        finally:
            room.release(lane, tenant, free - taken)
        self._turns.had(lane, tenant, kind, more=bool(claims))
        self._sender.submit(lane, self._holdings.windows(claims, asked_at=asked_at))
        return bool(claims)

    async def _claim(self, lane: Lane, tenant: str, kind: Kind, room: int) -> Sequence[Claimed]:
        async with self._database.connection() as connection:
            if kind is Kind.ITEMS:
                return await self._repository.claim_items(connection, lane, tenant, room=room)
            # As many chunks as are likely to fit: each that is looked at is locked.
            claims = await self._repository.claim_chunks(
                connection,
                lane,
                tenant,
                room=room,
                chunks=min(MOST_CHUNKS, -(-room // self._typical[lane])),
                partitions=self._partitions(lane),
            )
        if claims:
            self._typical[lane] = max(1, sum(len(claimed.ordinals) for claimed in claims) // len(claims))
        return claims
