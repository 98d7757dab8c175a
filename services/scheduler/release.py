"""What is due is released: claim, publish, finish. What was due long ago is held instead."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from libs.bus import Outgoing
from libs.contracts.topics import EXPAND_AUDIENCE
from libs.storage import Database
from libs.telemetry import metrics
from services.scheduler.controlling import Controller
from services.scheduler.repository import WaitingRepository
from services.scheduler.timing import Outlook, is_missed, pause_before_next
from services.scheduler.waiting import Claim, expansion

Publish = Callable[[Sequence[Outgoing]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Rules:
    """How releases are done; `owner` is the replica's stable name, `batch` is per lane."""

    owner: str
    lease: timedelta
    longest_pause: timedelta
    grace: timedelta
    batch: int


class Releaser:
    """One of any number beside each other: a claim is one's own until its lease ends, and what is published twice has
    the same event id. `told` is called when there is something to announce."""

    def __init__(
        self,
        database: Database,
        waiting: WaitingRepository,
        controller: Controller,
        publish: Publish,
        rules: Rules,
        *,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._waiting = waiting
        self._controller = controller
        self._publish = publish
        self._rules = rules
        self._told = told
        self._claimed: Claim | None = None

    async def begin(self) -> None:
        """Take over at once what an earlier life of this replica had claimed. Raises Unavailable."""
        async with self._database.transaction() as connection:
            await self._waiting.disown(connection, owner=self._rules.owner)

    async def turn(self) -> float:
        """Claim what is due and publish it; the seconds until there may be more.

        Raises Unavailable. What is claimed by then is kept and published first by the next turn, without waiting for
        its lease.
        """
        rules = self._rules
        if self._claimed is None:
            self._claimed = await self._claim()
        claimed = self._claimed
        if claimed is not None:
            await self._release(claimed)
            self._claimed = None
            if len(claimed.released) >= rules.batch:
                return 0.0
        outlook = await self._outlook()
        if is_missed(outlook, grace=rules.grace):
            await self._hold_missed()
            return 0.0
        return pause_before_next(outlook, lease=rules.lease, longest=rules.longest_pause)

    async def _claim(self) -> Claim | None:
        """What the dead left comes first: it is the later one."""
        rules = self._rules
        async with self._database.transaction() as connection:
            return await self._waiting.take_over(
                connection, owner=rules.owner, lease=rules.lease
            ) or await self._waiting.claim(connection, owner=rules.owner, limit=rules.batch, grace=rules.grace)

    async def _release(self, claim: Claim) -> None:
        await self._publish(
            [
                Outgoing(EXPAND_AUDIENCE[one.notification.lane], expansion(one), traceparent=one.traceparent)
                for one in claim.released
            ]
        )
        async with self._database.transaction() as connection:
            await self._waiting.finish(connection, claim)
        metrics.SCHEDULER_RELEASED.inc(len(claim.released))
        late = max((one.released_at - one.due for one in claim.released), default=timedelta(0))
        metrics.SCHEDULER_LATENESS.observe(late.total_seconds())

    async def _hold_missed(self) -> None:
        async with self._database.transaction() as connection:
            held = await self._controller.hold_missed(connection, limit=self._rules.batch, grace=self._rules.grace)
        if held:
            metrics.SCHEDULER_MISSED.inc(held)
            self._told()

    async def _outlook(self) -> Outlook:
        async with self._database.connection() as connection:
            return await self._waiting.outlook(connection)
