"""Stage and claim."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from libs.contracts.commands import SendDeliveries
from libs.contracts.routing import Channel, Lane
from libs.storage import Connection
from services.dispatchers.leases import LEASE
from services.dispatchers.repository.claim_statements import CLAIM_CHUNKS, CLAIM_ITEMS, STAGE, WAITING
from services.dispatchers.retrying import LIFETIMES
from services.dispatchers.staging import Staging, compress, decompress
from services.dispatchers.windows import Earlier


@dataclass(frozen=True, slots=True)
class Owner:
    """Who claims: a replica, and which of its lives."""

    instance: str
    incarnation: UUID


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim as the database made it, for `route`; `expires_in` in seconds, `cost` in micro-units for each delivery
    that is not paid. `body` is none where the caller has the chunk."""

    claim_id: UUID
    chunk_id: UUID
    ordinals: Sequence[int]
    expires_in: float
    traceparent: str | None = None
    body: bytes | None = None
    earlier: Sequence[Earlier] = ()
    route: str = ""
    cost: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A tenant for whom there is something to claim in a lane: chunks, or exceptions that are due, either on any route
    or only on the one they are pinned to."""

    lane: Lane
    tenant: str
    exceptions: bool
    pinned: str | None = None


class ClaimRepository:
    """The claims of one channel, made by one owner. `price` in micro-units for a segment (0: nobody is metered)."""

    def __init__(self, channel: Channel, owner: Owner, *, lease: timedelta = LEASE, price: int = 0) -> None:
        self._channel = channel
        self._owner = owner
        self._lease = lease
        self._price = price

    async def stage(self, connection: Connection, stagings: Sequence[Staging]) -> Sequence[Claimed]:
        """Store different chunks, those with room together with their claim; returns the claims. All of a tenant's are
        for one route.

        A chunk stored before is neither stored nor claimed again. Nothing is claimed past an older open chunk, of a
        notification that was stopped, or for a metered tenant.
        """
        claims: list[Claimed] = []
        for route in dict.fromkeys(staging.route for staging in stagings):  # nearly always one
            claims += await self._stage(connection, route, [each for each in stagings if each.route == route])
        return claims

    async def _stage(self, connection: Connection, route: str, stagings: Sequence[Staging]) -> Sequence[Claimed]:
        chunks = [staging.chunk for staging in stagings]
        rows = await connection.fetch(
            STAGE,
            self._channel,
            route,
            self._price > 0,
            [chunk.chunk_id for chunk in chunks],
            [chunk.tenant for chunk in chunks],
            [chunk.notification_id for chunk in chunks],
            [chunk.lane for chunk in chunks],
            [staging.partition for staging in stagings],
            [len(chunk.addresses) for chunk in chunks],
            [staging.take for staging in stagings],
            [staging.segments for staging in stagings],
            [chunk.expires_at for chunk in chunks],
            [LIFETIMES[chunk.message_class].total_seconds() for chunk in chunks],
            [staging.traceparent for staging in stagings],
            [compress(chunk.model_dump_json().encode()) for chunk in chunks],
            self._owner.instance,
            self._owner.incarnation,
            self._lease,
        )
        return [
            Claimed(row["claim_id"], row["chunk_id"], range(row["hi"]), row["expires_in"], route=route) for row in rows
        ]

    async def claim_chunks(
        self,
        connection: Connection,
        lane: Lane,
        tenant: str,
        *,
        route: str,
        room: int,
        chunks: int = 64,
        partitions: Sequence[int] | None = None,
    ) -> Sequence[Claimed]:
        """Claim for `route` up to `room` deliveries of the tenant's oldest open chunks, at most `chunks` of them, in
        `partitions` only where they are given, and no more than the tenant can pay.

        A chunk that does not fit is claimed in part only when it is the first.
        """
        rows = await connection.fetch(
            CLAIM_CHUNKS,
            self._price,
            tenant,
            self._channel,
            lane,
            partitions,
            chunks,
            room,
            route,
            self._owner.instance,
            self._owner.incarnation,
            self._lease,
        )
        return [_claimed(row, route, range(row["lo"], row["hi"])) for row in rows]

    async def claim_items(
        self, connection: Connection, lane: Lane, tenant: str, *, route: str, room: int
    ) -> Sequence[Claimed]:
        """Claim for `route` up to `room` of the tenant's exceptions that are due, first those that only this route may
        take, one claim for each chunk they belong to, and no more than the tenant can pay."""
        rows = await connection.fetch(
            CLAIM_ITEMS,
            self._price,
            tenant,
            self._channel,
            lane,
            room,
            route,
            self._owner.instance,
            self._owner.incarnation,
            self._lease,
        )
        return [
            _claimed(
                row,
                route,
                row["ordinals"],
                [Earlier(*each) for each in zip(row["attempts"], row["maybe_sent"], row["paid"], strict=True)],
            )
            for row in rows
        ]

    async def waiting(self, connection: Connection) -> Sequence[Waiting]:
        """Who has something to claim now, in all lanes and tenants of the channel."""
        rows = await connection.fetch(WAITING, self._channel)
        return [Waiting(Lane(row["lane"]), row["tenant"], row["exceptions"], row["pinned"]) for row in rows]


def _claimed(row: Any, route: str, ordinals: Sequence[int], earlier: Sequence[Earlier] = ()) -> Claimed:
    return Claimed(
        row["claim_id"],
        row["chunk_id"],
        ordinals,
        row["expires_in"],
        row["traceparent"],
        row["body"],
        earlier,
        route,
        row["cost"],
    )


def chunk_from(body: bytes) -> SendDeliveries:
    """The command a chunk keeps."""
    return SendDeliveries.model_validate_json(decompress(body))
