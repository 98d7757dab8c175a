"""The loop that looks at the timers of fallbacks: when due, who needs the next step is recorded and asked for."""

from collections.abc import Callable, Mapping

from libs.contracts.ids import delivery_id
from libs.storage import Connection, Database
from services.tracker.asking import Recipient
from services.tracker.blocks import BLOCK_SIZE, OFFSET_BITS, BlockKey, by_block, locate
from services.tracker.fallback import Then, overdue, when_due
from services.tracker.folding import Folding, counted
from services.tracker.lifecycle import ABSENT
from services.tracker.repository import (
    BlockRepository,
    CallbackRepository,
    ControlRepository,
    Due,
    TimerRepository,
    read_recipients,
)
from services.tracker.resends import Again
from services.tracker.rounds import Rounds

TIMERS = 16  # in one transaction: some 8,000 recipients


class FallbackTimers:
    """One of any number beside each other."""

    def __init__(self, database: Database, published: Callable[[], None]) -> None:
        self._database = database
        self._published = published
        self._folding = Folding()
        self._rounds = Rounds(self._folding)
        self._blocks = BlockRepository()
        self._control = ControlRepository()
        self._callbacks = CallbackRepository()
        self._timers = TimerRepository()

    async def run(self) -> bool:
        """One bounded look; whether there may be more to do now. Raises Unavailable."""
        async with self._database.transaction() as connection:
            await self._folding.begin(connection)
            due = await self._timers.due(connection, limit=TIMERS)
            if due is None:
                return False
            tell = await self._look(connection, due)
        if tell is not None:
            tell()
            self._published()
        return True

    async def _look(self, connection: Connection, due: Due) -> Callable[[], None] | None:
        """The blocks of the step are locked first, then those of the next one, then the notification: in this order a
        receipt, a resend or a cancel comes before all of this or after it."""
        again = await self._next(connection, due)
        held = await self._control.hold(connection, due.notification)
        then = Then.WAIT if held is None else when_due(held.gate)
        if then is Then.WAIT:
            await self._timers.wait(connection, due.timers)
            return None
        await self._timers.end(connection, due.timers)
        if held is None or then is Then.END or not again:
            await self._callbacks.mark(connection, [due.notification], after=0)
            return None
        return counted(await self._rounds.begin(connection, due.notification, held, again, at=due.now))

    async def _next(self, connection: Connection, due: Due) -> Mapping[Again, Recipient]:
        """Who needs the next step and did not have it yet."""
        notification_id, tenant = due.notification
        base, _ = locate(delivery_id(notification_id, 0, step=due.step))
        places = {place for timer in due.timers for place in by_block(timer.numbers)}
        blocks = await self._blocks.lock(connection, {BlockKey(base + place, tenant) for place in places})
        numbers = overdue(due.timers, {key.number - base: block for key, block in blocks.items()})
        wanted = sorted({BlockKey(base + (number >> OFFSET_BITS), tenant) for number in numbers})
        if not wanted:
            return {}
        following = await self._blocks.reserve(connection, [key.at_step(due.step + 1) for key in wanted])
        known = await read_recipients(connection, tenant, wanted)
        again = {}
        for number in numbers:
            key, offset = BlockKey(base + (number >> OFFSET_BITS), tenant), number % BLOCK_SIZE
            recipient = known.get((key.number, offset))
            # Who is not known yet failed before the chunk was told of: with that comes another timer.
            if recipient and recipient.is_known and following[key.at_step(due.step + 1)].states[offset] == ABSENT:
                again[Again(due.step + 1, number, 0)] = recipient
        return again
