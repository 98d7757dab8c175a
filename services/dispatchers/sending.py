"""Sends claimed windows over one route: bounded concurrency, in order per recipient, never past a lease."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from libs.contracts.outcomes import Accepted, Ambiguous, Misconfigured, Outcome, Throttled
from libs.contracts.routing import Lane
from libs.telemetry import metrics, tracing
from services.dispatchers.breaker import Breaker
from services.dispatchers.doubts import Doubts
from services.dispatchers.holding import RouteHold
from services.dispatchers.messages import outbound
from services.dispatchers.pacing import Pacer
from services.dispatchers.provider import CallFailed, Outbound
from services.dispatchers.retrying import Unsent
from services.dispatchers.route import Route
from services.dispatchers.windows import Slice, Window, pack

logger = logging.getLogger(__name__)

Clock = Callable[[], float]

# Whoever could take another route waits no longer than this for one that is shut.
PATIENCE = 2.0  # seconds


@dataclass(slots=True, eq=False)
class Parcel:
    """What goes into one request, the addresses in it, and the parcels that must be through before it."""

    slices: Sequence[Slice]
    addresses: Sequence[str]
    before: frozenset["Parcel"]
    submitted: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Sender:
    """`finished` is called with each window whose deliveries all have an outcome; `goes_elsewhere` says whether a
    tenant's messages could take another route now. Without a `pacer` the route has no rate. `batch` messages go into a
    request at most."""

    def __init__(
        self,
        route: Route,
        *,
        hold: RouteHold,
        breaker: Breaker,
        finished: Callable[[Window], None],
        pacer: Pacer | None = None,
        goes_elsewhere: Callable[[str], bool] = lambda tenant: False,
        clock: Clock = time.monotonic,
    ) -> None:
        self._route = route
        self._carrier = route.carrier
        self._hold = hold
        self._breaker = breaker
        self._pacer = pacer
        self.batch = min(route.carrier.batch, pacer.lease) if pacer else route.carrier.batch
        self._doubts = Doubts(route, self._settle)
        self._slots = {lane: asyncio.Semaphore(count) for lane, count in route.concurrency.items()}
        self._finished = finished
        self._goes_elsewhere = goes_elsewhere
        self._clock = clock
        self._last: dict[str, Parcel] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._changed = asyncio.Event()  # somebody who waits for the route shall look again

    @property
    def is_stopping(self) -> bool:
        """Whether nothing more is submitted."""
        return self._stopping

    def shut_for(self, now: float) -> float:
        """Seconds until the route takes something again; 0 when it does."""
        return max(self._hold.remaining(now), self._breaker.remaining(now))

    def submit(self, lane: Lane, windows: Sequence[Window]) -> None:
        """Begin to send, oldest first. Returns at once."""
        for slices in pack(windows, self.batch):
            task = asyncio.create_task(self._carry(lane, self._line_up(slices)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self, within: float) -> None:
        """Submit nothing more (it becomes deferred) and wait at most `within` seconds for what is in flight; what has
        no answer by then is ambiguous."""
        self._stopping = True
        self._changed.set()
        if self._pacer:
            self._pacer.close()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=within)
        for task in late:
            task.cancel()
        if late:
            logger.warning("stopped while requests were in flight", extra={"requests": len(late)})
            await asyncio.wait(late)

    def _line_up(self, slices: Sequence[Slice]) -> Parcel:
        """Behind every parcel in flight that has one of its recipients: order is promised per recipient."""
        addresses = [part.window.chunk.addresses[ordinal] for part in slices for ordinal in part.ordinals]
        last = self._last
        parcel = Parcel(slices, addresses, frozenset(last[address] for address in addresses if address in last))
        last.update(dict.fromkeys(addresses, parcel))
        return parcel

    def _step_aside(self, parcel: Parcel) -> None:
        parcel.done.set()
        last = self._last
        for address in parcel.addresses:
            if last.get(address) is parcel:
                del last[address]

    async def _carry(self, lane: Lane, parcel: Parcel) -> None:
        try:
            for earlier in parcel.before:
                await earlier.done.wait()
            async with self._slots[lane]:
                slices = parcel.slices
                if any(part.window.earlier for part in slices):
                    slices = await self._doubts.settle(slices, is_shut=self._is_shut)
                may_go = await self._may_go(lane, slices)
                ready = self._submittable(slices, may_go=may_go)
                parcel.submitted = True
                await self._send(lane, ready)
        except asyncio.CancelledError:
            self._give_up(parcel)
            raise
        finally:
            self._step_aside(parcel)

    def _give_up(self, parcel: Parcel) -> None:
        """The stop's time is over: whatever has no outcome yet gets an honest one."""
        outcome = Ambiguous("stopped before the answer") if parcel.submitted else Unsent.DEFERRED
        for part in parcel.slices:
            for place in range(part.start, part.stop):
                if part.window.outcomes[place] is None:
                    self._settle(Slice(part.window, place, place + 1), [outcome])

    def _is_shut(self) -> bool:
        return self._stopping or self.shut_for(self._clock()) > 0

    async def _may_go(self, lane: Lane, slices: Sequence[Slice]) -> bool:
        """Wait until the route takes a call, if the leases allow it: cheaper than a row for each delivery that has to
        wait. After True the call is to be made at once."""
        if not self._pacer and self._breaker.is_closed and not self._is_shut():
            return True
        if not slices:
            return False
        leave_by = max(part.window.submit_until for part in slices)
        open_by = leave_by
        if all(self._goes_elsewhere(part.window.chunk.tenant) for part in slices):
            open_by = min(leave_by, self._clock() + PATIENCE)
        size = sum(part.stop - part.start for part in slices)
        while not self._stopping and (now := self._clock()) < leave_by:
            if pause := self.shut_for(now):
                if now >= open_by or (now + pause > open_by and not self._may_open_early(now)):
                    return False
                await self._wait(min(pause, open_by - now))
            elif self._pacer and not await self._pacer.take(lane, size, leave_by):
                return False
            elif not self._is_shut() and self._breaker.begin(self._clock()):
                return True
        return False

    def _may_open_early(self, now: float) -> bool:
        """Whether an answer that is on its way may open the route."""
        return not self._hold.remaining(now) and self._breaker.is_probing

    async def _wait(self, seconds: float) -> None:
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    def _submittable(self, slices: Sequence[Slice], *, may_go: bool) -> list[Slice]:
        """The slices that may go now; the others get their outcome here. One clock reading for all."""
        now = self._clock()
        ready = []
        for part in slices:
            window = part.window
            if now >= window.expires:
                self._settle(part, [Unsent.EXPIRED] * (part.stop - part.start))
            elif not may_go or now >= window.submit_until:
                self._settle(part, [Unsent.DEFERRED] * (part.stop - part.start))
            else:
                ready.append(part)
        if may_go and not ready:
            self._breaker.abandoned(now)
        return ready

    async def _send(self, lane: Lane, slices: Sequence[Slice]) -> None:
        if not slices:
            return
        messages = [message for part in slices for message in outbound(part)]
        started = self._clock()
        first, *others = (part.window.traceparent for part in slices)
        with tracing.span("send deliveries", traceparent=first, links=dict.fromkeys(others)):
            outcomes = await self._submit(messages)
        if self._route.shared:
            outcomes = self._listen(outcomes, started)
        metrics.DISPATCH_REQUEST_SECONDS.labels(self._route.name, lane).observe(self._clock() - started)
        position = 0
        for part in slices:
            size = part.stop - part.start
            self._settle(part, outcomes[position : position + size])
            position += size

    async def _submit(self, messages: Sequence[Outbound]) -> Sequence[Outcome]:
        try:
            return await self._carrier.send(messages)
        except Exception:
            logger.exception("a provider failed", extra={"provider": self._route.name})
            return CallFailed([Ambiguous("provider error")] * len(messages))

    def _listen(self, outcomes: Sequence[Outcome], started: float) -> Sequence[Outcome]:
        """Let the answer open or shut the route. How long a carrier wants us to wait is the route's to know, not the
        messages': another route may take them."""
        now = self._clock()
        was_closed = self._breaker.is_closed
        if isinstance(outcomes, CallFailed):
            self._breaker.failed(now, started)
            if was_closed and not self._breaker.is_closed:
                logger.error("route broken", extra={"provider": self._route.name})
        else:
            self._breaker.succeeded(now, started)
            if not was_closed and self._breaker.is_closed:
                logger.warning("route works again", extra={"provider": self._route.name})
        kinds = set(map(type, outcomes))
        if Throttled in kinds:
            delays = [outcome.retry_after for outcome in outcomes if isinstance(outcome, Throttled)]
            self._hold.throttled(now, started, max((asked for asked in delays if asked), default=None))
            outcomes = [Throttled(each.reason) if isinstance(each, Throttled) else each for each in outcomes]
        elif Misconfigured in kinds:
            refused = next(outcome for outcome in outcomes if isinstance(outcome, Misconfigured))
            if self._hold.misconfigured is None:
                logger.error("route paused", extra={"provider": self._route.name, "reason": refused.reason})
            self._hold.refused_account(now, refused.reason)
        elif Accepted in kinds:
            self._hold.passed(started)
        if not was_closed:
            self._changed.set()
        return outcomes

    def _settle(self, part: Slice, outcomes: Sequence[Outcome | Unsent]) -> None:
        if part.window.settle(part.start, outcomes):
            self._finished(part.window)
