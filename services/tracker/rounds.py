"""Another round for some recipients: their next deliveries are queued, and the audience is asked for them, in one
transaction."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from libs.bus import Outgoing
from libs.contracts.ids import delivery_id
from libs.contracts.states import DeliveryState
from libs.contracts.topics import EXPAND_AUDIENCE
from libs.storage import Connection
from services.tracker.asking import Asked, Recipient, commands
from services.tracker.blocks import BLOCK_SIZE, OFFSET_BITS, BlockKey, Folded, MutableFacts, Named, locate
from services.tracker.folding import NOTHING, Folding
from services.tracker.lifecycle import CODES, Fact
from services.tracker.repository import ControlRepository, Held, OutboxRepository
from services.tracker.resends import Again

_QUEUED = CODES[DeliveryState.QUEUED]


class Rounds:
    """Begins rounds. Who waits for the messages to leave wakes the outbox after the commit."""

    def __init__(self, folding: Folding) -> None:
        self._folding = folding
        self._control = ControlRepository()
        self._outbox = OutboxRepository()

    async def begin(
        self,
        connection: Connection,
        notification: Named,
        held: Held,
        again: Mapping[Again, Recipient],
        *,
        at: datetime,
    ) -> Folded:
        """Queue `again` and ask for their recipients, who are known. Comes last in a transaction in which the
        notification and the blocks are locked; `at` is the database's clock."""
        outgoing = []
        place = attrgetter("step", "generation")
        for (step, generation), group in groupby(sorted(sorted(again), key=place), key=place):
            asked = [Asked(one.number, again[one]) for one in group]
            outgoing += [
                Outgoing(EXPAND_AUDIENCE[command.notification.lane], command, traceparent=held.traceparent)
                for command in commands(held.body, notification[1], asked, step=step, generation=generation, at=at)
            ]
        await self._outbox.add(connection, outgoing)
        folded = await self._folding.apply(connection, NOTHING, later=_queued(notification, again, at))
        await self._control.next_round(connection, notification)
        return folded


def _queued(notification: Named, again: Iterable[Again], at: datetime) -> MutableFacts:
    facts: MutableFacts = {}
    offsets: dict[tuple[BlockKey, int], list[int]] = {}
    bases: dict[int, int] = {}
    for step, number, generation in again:
        base = bases.get(step) or bases.setdefault(step, locate(delivery_id(notification[0], 0, step=step))[0])
        key = BlockKey(base + (number >> OFFSET_BITS), notification[1])
        offsets.setdefault((key, generation), []).append(number % BLOCK_SIZE)
    for (key, generation), alike in offsets.items():
        facts.setdefault(key, []).append((alike, Fact(_QUEUED, generation, 0, int(at.timestamp()), "")))
    return facts
