"""Sends claimed windows over one carrier: bounded concurrency, in order per recipient, never past a lease."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from libs.contracts.commands import SendDeliveries
from libs.contracts.content import StoredContent
from libs.contracts.outcomes import Accepted, Ambiguous, Misconfigured, Outcome, Throttled
from libs.contracts.routing import Lane
from libs.telemetry import metrics, tracing
from services.dispatchers.holding import RouteHold
from services.dispatchers.keys import provider_keys
from services.dispatchers.provider import Carrier, Outbound
from services.dispatchers.retrying import Unsent
from services.dispatchers.windows import Slice, Window, pack

logger = logging.getLogger(__name__)

Clock = Callable[[], float]


@dataclass(slots=True, eq=False)
class Parcel:
    """What goes into one request, the addresses in it, and the parcels that must be through before it."""

    slices: Sequence[Slice]
    addresses: Sequence[str]
    before: frozenset["Parcel"]
    submitted: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Sender:
    """`finished` is called with each window whose deliveries all have an outcome."""

    def __init__(
        self,
        carrier: Carrier,
        hold: RouteHold,
        *,
        concurrency: Mapping[Lane, int],
        finished: Callable[[Window], None],
        clock: Clock = time.monotonic,
    ) -> None:
        self._carrier = carrier
        self._hold = hold
        self._slots = {lane: asyncio.Semaphore(count) for lane, count in concurrency.items()}
        self._finished = finished
        self._clock = clock
        self._last: dict[str, Parcel] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    @property
    def is_stopping(self) -> bool:
        """Whether nothing more is submitted."""
        return self._stopping.is_set()

    def submit(self, lane: Lane, windows: Sequence[Window]) -> None:
        """Begin to send, oldest first. Returns at once."""
        for slices in pack(windows, self._carrier.batch):
            task = asyncio.create_task(self._carry(lane, self._line_up(slices)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self, within: float) -> None:
        """Submit nothing more (it becomes deferred) and wait at most `within` seconds for what is in flight; what has
        no answer by then is ambiguous."""
        self._stopping.set()
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
                await self._until_open(parcel)
                ready = self._submittable(parcel)
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
            if part.window.outcomes[part.start] is None:
                self._settle(part, [outcome] * (part.stop - part.start))

    async def _until_open(self, parcel: Parcel) -> None:
        """Wait out a hold if the leases allow it: cheaper than a row for each delivery that has to wait."""
        patience = max(part.window.submit_until for part in parcel.slices)
        while not self.is_stopping and (pause := self._hold.remaining(self._clock())):
            if self._clock() + pause > patience:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()

    def _submittable(self, parcel: Parcel) -> list[Slice]:
        """The slices that may go now; the others get their outcome here. One clock reading for all."""
        now = self._clock()
        shut = self.is_stopping or bool(self._hold.remaining(now))
        ready = []
        for part in parcel.slices:
            window = part.window
            if now >= window.expires:
                self._settle(part, [Unsent.EXPIRED] * (part.stop - part.start))
            elif shut or now >= window.submit_until:
                self._settle(part, [Unsent.DEFERRED] * (part.stop - part.start))
            else:
                ready.append(part)
        return ready

    async def _send(self, lane: Lane, slices: Sequence[Slice]) -> None:
        if not slices:
            return
        messages = [message for part in slices for message in outbound(part)]
        started = self._clock()
        first, *others = (part.window.traceparent for part in slices)
        with tracing.span("send deliveries", traceparent=first, links=dict.fromkeys(others)):
            outcomes = await self._submit(messages)
        self._listen(outcomes, started)
        metrics.DISPATCH_REQUEST_SECONDS.labels(self._carrier.name, lane).observe(self._clock() - started)
        position = 0
        for part in slices:
            size = part.stop - part.start
            self._settle(part, outcomes[position : position + size])
            position += size

    async def _submit(self, messages: Sequence[Outbound]) -> Sequence[Outcome]:
        try:
            return await self._carrier.send(messages)
        except Exception:
            logger.exception("a provider failed", extra={"provider": self._carrier.name})
            return [Ambiguous("provider error")] * len(messages)

    def _listen(self, outcomes: Sequence[Outcome], started: float) -> None:
        """Let the answer open or shut the route."""
        now = self._clock()
        throttles = [outcome.retry_after for outcome in outcomes if isinstance(outcome, Throttled)]
        if throttles:
            longest = max((asked for asked in throttles if asked), default=None)
            self._hold.throttled(now, started, longest)
        elif refused := next((outcome for outcome in outcomes if isinstance(outcome, Misconfigured)), None):
            if self._hold.misconfigured is None:
                logger.error("route paused", extra={"provider": self._carrier.name, "reason": refused.reason})
            self._hold.refused_account(now, refused.reason)
        elif any(isinstance(outcome, Accepted) for outcome in outcomes):
            self._hold.passed(started)

    def _settle(self, part: Slice, outcomes: Sequence[Outcome | Unsent]) -> None:
        if part.window.settle(part.start, outcomes):
            self._finished(part.window)


def outbound(part: Slice) -> list[Outbound]:
    """The messages of a slice."""
    chunk: SendDeliveries = part.window.chunk
    content = chunk.content
    if isinstance(content, StoredContent):
        raise TypeError("content by reference is never staged")
    first, addresses = chunk.first_number, chunk.addresses
    keys = provider_keys(
        chunk.notification_id,
        [first + ordinal for ordinal in part.ordinals],
        step=chunk.step,
        generation=chunk.generation,
    )
    return [Outbound(key, addresses[ordinal], content) for key, ordinal in zip(keys, part.ordinals, strict=True)]
