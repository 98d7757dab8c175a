"""A chunk comes in: stage it, and send at once what there is room for."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from libs.bus import Effect, Received
from libs.contracts.commands import SendDeliveries
from libs.contracts.routing import Lane
from libs.storage import Connection
from libs.telemetry import metrics
from services.dispatchers.claiming import Turns
from services.dispatchers.holdings import Holdings
from services.dispatchers.repository import Claimed, ClaimRepository
from services.dispatchers.staging import NOWHERE, Offer, Staging, plan_staging
from services.dispatchers.windows import Window


class Ways(Protocol):
    """What staging needs to know of the routes."""

    def open_to(self, tenant: str) -> str | None:
        """The best route that takes a tenant's messages now."""
        ...

    def most(self, name: str) -> int | None:
        """The most that is to be claimed for a route at once; none: any number."""
        ...

    def submit(self, lane: Lane, windows: Sequence[Window]) -> None:
        """Begin to send, each window on its route. Returns at once."""
        ...


class DispatchHandlers:
    """The subscription of one lane. The bus calls it for one batch after the other. `segments` counts what a message of
    a chunk is charged for."""

    def __init__(
        self,
        lane: Lane,
        *,
        repository: ClaimRepository,
        holdings: Holdings,
        ways: Ways,
        turns: Turns,
        segments: Callable[[SendDeliveries], int] = lambda chunk: 1,
    ) -> None:
        self._lane = lane
        self._repository = repository
        self._holdings = holdings
        self._ways = ways
        self._turns = turns
        self._segments = segments
        self._reserved: Sequence[Staging] = ()

    async def on_send_deliveries(self, batch: Sequence[Received[SendDeliveries]], connection: Connection) -> Effect:
        """Stage the batch in one statement, with claims for what can go now; they are sent once it is committed."""
        self._release(self._reserved)  # the transaction that took it never committed
        self._reserved = ()
        asked_at = self._holdings.clock()
        records = [(record.message, record.partition, record.traceparent) for record in batch]
        total = self._holdings.room.free_in_total(self._lane)
        stagings = plan_staging(records, self._offer, total, self._segments)
        self._reserve(stagings)
        claims = await self._repository.stage(connection, stagings)
        return Effect(committed=partial(self._committed, stagings, claims, asked_at))

    def _committed(self, stagings: Sequence[Staging], claims: Sequence[Claimed], asked_at: float) -> None:
        self._reserved = ()
        by_chunk = {claimed.chunk_id: claimed for claimed in claims}
        unclaimed = [staging for staging in stagings if staging.chunk.chunk_id not in by_chunk]
        self._release(unclaimed)
        self._holdings.remember(staging.chunk for staging in unclaimed)
        for tenant in {staging.chunk.tenant for staging in unclaimed}:
            self._turns.add(self._lane, tenant)
        windows = [
            self._holdings.window(claimed, staging.chunk, staging.traceparent, asked_at=asked_at)
            for staging in stagings
            if (claimed := by_chunk.pop(staging.chunk.chunk_id, None))
        ]
        self._ways.submit(self._lane, windows)
        metrics.DISPATCH_CHUNKS_STAGED.labels(self._lane).inc(len(stagings))

    def _offer(self, tenant: str) -> Offer:
        if (route := self._ways.open_to(tenant)) is None:
            return NOWHERE
        room, most = self._holdings.room, self._ways.most(route)
        on_route = room.free_on(self._lane, route)
        return Offer(route, room.free(self._lane, tenant, route), on_route if most is None else min(on_route, most))

    def _reserve(self, stagings: Sequence[Staging]) -> None:
        for staging in stagings:
            if staging.take:
                self._holdings.room.hold(self._lane, staging.chunk.tenant, staging.route, staging.take)
        self._reserved = stagings

    def _release(self, stagings: Sequence[Staging]) -> None:
        for staging in stagings:
            if staging.take:
                self._holdings.room.release(self._lane, staging.chunk.tenant, staging.route, staging.take)
