"""Sending again what did not arrive, because somebody asked for it: decided and written in one transaction."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from libs.contracts.ids import delivery_id, split_delivery_id
from libs.contracts.states import DeliveryState, Gate
from libs.storage import Connection, Database
from services.tracker.asking import Recipient
from services.tracker.blocks import BLOCK_SIZE, OFFSET_BITS, Block, BlockKey, Folded, Named, locate
from services.tracker.folding import Folding, counted
from services.tracker.lifecycle import CODES
from services.tracker.repository import BlockRepository, ControlRepository, read_recipients
from services.tracker.resends import Again, all_steps, choose
from services.tracker.rounds import Rounds

# Some 25,000 deliveries in one transaction, which holds their blocks for some tenths of a second.
MOST_BLOCKS = 400
# Whoever asked waits for the verdict: what is not done by then is for another call.
PATIENCE = 1.5  # seconds


class NothingSuch(LookupError):  # noqa: N818 - an answer
    """The tenant has no such notification."""


class Refused(Exception):  # noqa: N818 - an answer
    """It is not sent again. `deliveries` are those that stand in the way."""

    def __init__(self, code: str, reason: str, deliveries: Sequence[UUID] = ()) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.deliveries = deliveries


class Resent(NamedTuple):
    """How many are sent again; whether there are more that could be."""

    deliveries: int
    has_more: bool


class Resending:
    """`published` is called when messages were committed to the outbox."""

    def __init__(self, database: Database, published: Callable[[], None]) -> None:
        self._database = database
        self._published = published
        self._folding = Folding()
        self._rounds = Rounds(self._folding)
        self._blocks = BlockRepository()
        self._control = ControlRepository()

    async def resend(
        self, notification: Named, states: Collection[DeliveryState], deliveries: Sequence[UUID] | None
    ) -> Resent:
        """Send again what stands in one of `states`: all there is, or these `deliveries`, then all of them or none.

        Raises NothingSuch, Refused, Unavailable. A delivery is sent again once: a second call finds it queued. All
        there is may be more than one transaction, each of which is whole.
        """
        until = time.monotonic() + PATIENCE
        count, next_block = await self._part(notification, states, deliveries, notification[0])
        while next_block is not None and time.monotonic() < until:
            more, next_block = await self._part(notification, states, deliveries, next_block)
            count += more
        if not count:
            raise Refused("nothing_to_resend", "Nothing of it stands in a state that is sent again.")
        return Resent(count, next_block is not None)

    async def _part(
        self, notification: Named, states: Collection[DeliveryState], deliveries: Sequence[UUID] | None, first: UUID
    ) -> tuple[int, UUID | None]:
        """How many were sent again from the block `first` on, and the block to go on with."""
        async with self._database.transaction() as connection:
            await self._folding.begin(connection)
            steps = await self._control.steps(connection, notification)
            if steps is None:
                raise NothingSuch(notification[0])
            if deliveries is None:
                codes = [CODES[state] for state in states]
                found = await self._blocks.in_states(connection, notification, codes, first, limit=MOST_BLOCKS + 1)
                keys, rest = found[:MOST_BLOCKS], found[MOST_BLOCKS:]
            else:
                keys, rest = _blocks_of(notification, deliveries), ()
            blocks = await self._blocks.lock(connection, all_steps(keys, steps))
            again = await self._known(connection, notification[1], blocks, choose(blocks, states))
            if deliveries is not None:
                again = _exactly(notification, again, deliveries)
            folded = await self._begin(connection, notification, again) if again else None
        if folded is not None:
            counted(folded)()
            self._published()
        return len(again), rest[0].block_id if rest else None

    async def _begin(self, connection: Connection, notification: Named, again: Mapping[Again, Recipient]) -> Folded:
        held = await self._control.hold(connection, notification)
        if held is None:
            raise Refused("not_accepted", "It was not accepted yet.")
        if held.gate is Gate.CANCELLED:
            raise Refused("cancelled", "It was cancelled.")
        now = await self._control.now(connection)
        return await self._rounds.begin(connection, notification, held, again, at=now)

    async def _known(
        self, connection: Connection, tenant: str, blocks: Mapping[BlockKey, Block], again: Sequence[Again]
    ) -> Mapping[Again, Recipient]:
        """What is chosen, and whom it goes to. Who is not known yet (the chunk was not told of) is left out."""
        if not again:
            return {}
        recipients = await read_recipients(connection, tenant, blocks)
        bases = {key.step: key.number - (key.first_number >> OFFSET_BITS) for key in blocks}
        found = {}
        for one in again:
            place = bases[one.step] + (one.number >> OFFSET_BITS), one.number % BLOCK_SIZE
            recipient = recipients.get(place)
            if recipient is not None and recipient.is_known:
                found[one] = recipient
        return found


def _blocks_of(notification: Named, deliveries: Sequence[UUID]) -> Sequence[BlockKey]:
    """The blocks of those of `deliveries` that are the notification's."""
    own = [one for one in deliveries if split_delivery_id(one).notification_id == notification[0]]
    return sorted({BlockKey(locate(one)[0], notification[1]) for one in own})


def _exactly(
    notification: Named, again: Mapping[Again, Recipient], deliveries: Sequence[UUID]
) -> Mapping[Again, Recipient]:
    """Those of `again` that are `deliveries`. Raises Refused unless each of these is among them."""
    found: dict[UUID, Again] = {delivery_id(notification[0], one.number, step=one.step): one for one in again}
    missing = [delivery for delivery in deliveries if delivery not in found]
    if missing:
        raise Refused("not_resendable", "Some of these deliveries stand in no state that is sent again.", missing)
    return {found[delivery]: again[found[delivery]] for delivery in deliveries}
