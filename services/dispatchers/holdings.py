"""From claims to windows and back: what this process holds, with the chunks it has at hand."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

from libs.contracts.commands import SendDeliveries
from libs.contracts.routing import MessageClass
from services.dispatchers.repository import Claimed, chunk_from
from services.dispatchers.windows import Room, Window

# Decoded chunks kept at hand: a chunk staged now is mostly claimed by the same process a moment later.
CHUNKS_AT_HAND = 64
# Whether a route leaves messages of a class that may have been sent to an operator.
Parks = Callable[[str, MessageClass], bool]


class Holdings:
    """Makes windows of claims and keeps the account of room. A window is submitted `submit_within` seconds of its claim
    or not at all: well before its lease ends, so that its answers can be recorded."""

    def __init__(
        self,
        room: Room,
        *,
        submit_within: float,
        parks: Parks = lambda route, message_class: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.room = room
        self.clock = clock
        self._submit_within = submit_within
        self._parks = parks
        self._chunks: OrderedDict[UUID, SendDeliveries] = OrderedDict()

    def remember(self, chunks: Iterable[SendDeliveries]) -> None:
        """Keep chunks that wait for their claim."""
        for chunk in chunks:
            self._chunks[chunk.chunk_id] = chunk
        while len(self._chunks) > CHUNKS_AT_HAND:
            self._chunks.popitem(last=False)

    def windows(self, claims: Sequence[Claimed], *, asked_at: float) -> list[Window]:
        """Windows of claims that were asked for at `asked_at`: by then at the earliest their leases began."""
        return [self._window(claimed, self._chunk(claimed), asked_at) for claimed in claims]

    def window(self, claimed: Claimed, chunk: SendDeliveries, traceparent: str | None, *, asked_at: float) -> Window:
        """The window of a chunk that was claimed as it was staged."""
        return self._window(claimed, chunk, asked_at, traceparent)

    def released(self, window: Window) -> None:
        """A window is recorded or lost."""
        self.room.release(window.chunk.lane, window.chunk.tenant, window.route, len(window.ordinals))

    def _chunk(self, claimed: Claimed) -> SendDeliveries:
        chunk = self._chunks.get(claimed.chunk_id)
        if chunk is None:
            if claimed.body is None:
                raise LookupError(f"chunk {claimed.chunk_id} has no body")
            chunk = chunk_from(claimed.body)
        if claimed.ordinals[-1] + 1 >= len(chunk.addresses):
            self._chunks.pop(claimed.chunk_id, None)
        return chunk

    def _window(
        self, claimed: Claimed, chunk: SendDeliveries, asked_at: float, traceparent: str | None = None
    ) -> Window:
        return Window(
            claim_id=claimed.claim_id,
            chunk=chunk,
            ordinals=claimed.ordinals,
            submit_until=asked_at + self._submit_within,
            expires=asked_at + claimed.expires_in,
            traceparent=traceparent or claimed.traceparent,
            earlier=dict(zip(claimed.ordinals, claimed.earlier, strict=False)),
            route=claimed.route,
            cost=claimed.cost,
            parks=self._parks(claimed.route, chunk.message_class),
        )
