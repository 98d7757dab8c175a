"""A chunk comes in: stage it, and send at once what there is room for."""

from collections.abc import Sequence
from functools import partial

from libs.bus import Effect, Received
from libs.contracts.commands import SendDeliveries
from libs.contracts.routing import Lane
from libs.storage import Connection
from libs.telemetry import metrics
from services.dispatchers.claiming import Turns
from services.dispatchers.holding import RouteHold
from services.dispatchers.holdings import Holdings
from services.dispatchers.repository import Claimed, ClaimRepository
from services.dispatchers.sending import Sender
from services.dispatchers.staging import Staging, plan_staging


class DispatchHandlers:
    """The subscription of one lane. The bus calls it for one batch after the other."""

    def __init__(
        self,
        lane: Lane,
        *,
        repository: ClaimRepository,
        holdings: Holdings,
        hold: RouteHold,
        sender: Sender,
        turns: Turns,
    ) -> None:
        self._lane = lane
        self._repository = repository
        self._holdings = holdings
        self._hold = hold
        self._sender = sender
        self._turns = turns
        self._reserved: Sequence[Staging] = ()

    async def on_send_deliveries(self, batch: Sequence[Received[SendDeliveries]], connection: Connection) -> Effect:
        """Stage the batch in one statement, with claims for what can go now; they are sent once it is committed."""
        self._release(self._reserved)  # the transaction that took it never committed
        self._reserved = ()
        asked_at = self._holdings.clock()
        records = [(record.message, record.partition, record.traceparent) for record in batch]
        room = self._holdings.room
        is_shut = self._sender.is_stopping or self._hold.remaining(asked_at) > 0
        total = 0 if is_shut else room.free_in_total(self._lane)
        stagings = plan_staging(records, partial(room.free, self._lane), total)
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
        self._sender.submit(self._lane, windows)
        metrics.DISPATCH_CHUNKS_STAGED.labels(self._lane).inc(len(stagings))

    def _reserve(self, stagings: Sequence[Staging]) -> None:
        for staging in stagings:
            if staging.take:
                self._holdings.room.hold(self._lane, staging.chunk.tenant, staging.take)
        self._reserved = stagings

    def _release(self, stagings: Sequence[Staging]) -> None:
        for staging in stagings:
            if staging.take:
                self._holdings.room.release(self._lane, staging.chunk.tenant, staging.take)
