"""The sender alone: what an open, a shut and a paced route do to what is claimed for it."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta

import pytest

from libs.contracts.outcomes import Accepted, Ambiguous, Outcome, Throttled, Transient
from libs.contracts.routing import Lane, MessageClass
from services.dispatchers import sending
from services.dispatchers.breaker import PROBE_AFTER, Breaker
from services.dispatchers.holding import RouteHold
from services.dispatchers.messages import references
from services.dispatchers.pacing import Grant, Pacer
from services.dispatchers.provider import NOT_KNOWN, Answer, CallFailed, Outbound
from services.dispatchers.retrying import Unsent
from services.dispatchers.route import Query, Route, Unknown
from services.dispatchers.sending import Sender
from services.dispatchers.windows import Earlier, Slice, Window
from tests.services.dispatchers.making import ScriptedCarrier, make_chunk, make_window, until


class BreakingCarrier(ScriptedCarrier):
    """Its calls fail as a whole as long as it is broken."""

    def __init__(self, batch: int = 100) -> None:
        super().__init__(batch)
        self.is_broken = True

    async def send(self, messages: Sequence[Outbound]) -> Sequence[Outcome]:
        outcomes = await super().send(messages)
        return CallFailed([Transient("http 500")] * len(messages)) if self.is_broken else outcomes


class Desk:
    """A sender with a clock that can be moved."""

    def __init__(
        self,
        carrier: ScriptedCarrier | None = None,
        *,
        unknown: Unknown = Unknown.RESEND,
        shared: bool = True,
        query: Query | None = None,
        pacer: Pacer | None = None,
        slots: int = 2,
    ) -> None:
        self.carrier = carrier or ScriptedCarrier()
        self.ahead = 0.0
        self.hold, self.breaker = RouteHold(), Breaker()
        self.finished: list[Window] = []
        self.elsewhere = False
        self.sender = Sender(
            Route(
                "main",
                self.carrier,
                dict.fromkeys(Lane, slots),
                unknown=dict.fromkeys(MessageClass, unknown),
                shared=shared,
                query=query,
            ),
            hold=self.hold,
            breaker=self.breaker,
            pacer=pacer,
            finished=self.finished.append,
            goes_elsewhere=lambda tenant: self.elsewhere,
            clock=self.clock,
        )

    def clock(self) -> float:
        return time.monotonic() + self.ahead

    def window(self, size: int = 1, *, patience: float = 60.0, **earlier: Earlier) -> Window:
        window = make_window(make_chunk(size), submit_until=self.clock() + patience)
        window.earlier = {int(name[1:]): before for name, before in earlier.items()}
        return window

    async def send(self, *windows: Window) -> list[object]:
        self.sender.submit(Lane.BULK, windows)
        await until(lambda: all(window in self.finished for window in windows))
        return [outcome for window in windows for outcome in window.outcomes]

    async def break_it(self) -> None:
        for _ in range(10):
            await self.send(self.window())
        assert not self.breaker.is_closed


MAYBE = Earlier(1, True)


async def test_a_broken_route_is_left_alone_and_tried_by_one_call() -> None:
    carrier = BreakingCarrier(batch=1)
    desk = Desk(carrier)
    await desk.break_it()
    assert await desk.send(desk.window(3, patience=5)) == [Unsent.DEFERRED] * 3
    assert len(carrier.requests) == 10
    desk.ahead += PROBE_AFTER
    carrier.is_broken = False
    carrier.gate.clear()
    windows = [desk.window() for _ in range(4)]
    desk.sender.submit(Lane.BULK, windows)
    await until(lambda: carrier.in_flight == 1)
    await asyncio.sleep(0.02)
    assert carrier.in_flight == 1
    carrier.gate.set()
    await until(lambda: all(window in desk.finished for window in windows))
    assert all(isinstance(window.outcomes[0], Accepted) for window in windows)
    assert desk.breaker.is_closed


async def test_a_probe_that_fails_defers_what_waits_beside_it() -> None:
    carrier = BreakingCarrier(batch=1)
    desk = Desk(carrier)
    await desk.break_it()
    desk.ahead += PROBE_AFTER
    outcomes = await desk.send(desk.window(5, patience=20))
    assert outcomes.count(Unsent.DEFERRED) == 4
    assert outcomes.count(Transient("http 500")) == 1
    assert len(carrier.requests) == 11


@pytest.mark.parametrize("outcome", [Transient("failed"), Ambiguous("no result")])
async def test_what_fares_ill_with_one_message_breaks_no_route(outcome: Outcome) -> None:
    desk = Desk(ScriptedCarrier(batch=1))
    desk.carrier.script = lambda message: outcome
    for _ in range(15):
        await desk.send(desk.window())
    assert desk.breaker.is_closed


async def test_a_provider_that_raises_breaks_its_route() -> None:
    desk = Desk(ScriptedCarrier(batch=1))
    desk.carrier.script = lambda message: 1 / 0  # type: ignore[assignment, return-value]
    for _ in range(10):
        assert await desk.send(desk.window()) == [Ambiguous("provider error")]
    assert not desk.breaker.is_closed


async def test_a_probe_whose_messages_have_expired_leaves_its_place() -> None:
    carrier = BreakingCarrier(batch=1)
    desk = Desk(carrier)
    await desk.break_it()
    desk.ahead += PROBE_AFTER
    expired = desk.window()
    expired.expires = desk.clock() - 1
    assert await desk.send(expired) == [Unsent.EXPIRED]
    assert desk.sender.shut_for(desk.clock()) == 0
    carrier.is_broken = False
    assert isinstance((await desk.send(desk.window()))[0], Accepted)


async def test_a_hold_is_waited_out_unless_another_route_is_open() -> None:
    desk = Desk()
    desk.hold.throttled(desk.clock(), desk.clock(), timedelta(seconds=0.05))
    desk.hold.until = desk.clock() + 0.05
    assert isinstance((await desk.send(desk.window()))[0], Accepted)
    desk.hold.throttled(desk.clock(), desk.clock(), timedelta(seconds=30))
    desk.elsewhere = True
    assert await desk.send(desk.window()) == [Unsent.DEFERRED]


async def test_an_endpoint_of_somebody_else_shuts_nothing_for_the_others() -> None:
    desk = Desk(BreakingCarrier(batch=1), shared=False)
    for _ in range(20):
        await desk.send(desk.window())
    assert desk.breaker.is_closed
    desk.carrier.script = lambda message: Throttled("slow down", timedelta(seconds=60))
    await desk.send(desk.window())
    assert desk.hold.remaining(desk.clock()) == 0


async def test_what_may_have_been_sent_is_parked() -> None:
    desk = Desk(unknown=Unknown.PARK)
    window = desk.window(3, _1=MAYBE, _2=Earlier(1, False))
    outcomes = await desk.send(window)
    assert outcomes[1] is Unsent.PARKED
    assert [type(outcome) for outcome in outcomes] == [Accepted, Unsent, Accepted]
    assert len(desk.carrier.references) == 2


async def test_what_may_have_been_sent_is_asked_about() -> None:
    asked: list[str] = []

    async def query(references: Sequence[str]) -> Sequence[Answer]:
        asked.extend(references)
        return [Accepted("known"), NOT_KNOWN, Ambiguous("no answer")]

    desk = Desk(unknown=Unknown.QUERY, query=query)
    window = desk.window(5, _0=MAYBE, _1=Earlier(1, False), _2=MAYBE, _4=MAYBE)
    outcomes = await desk.send(window)
    keys = references(Slice(window, 0, 5))
    assert asked == [keys[0], keys[2], keys[4]]
    assert outcomes[0] == Accepted("known")
    assert outcomes[4] == Ambiguous("no answer")
    assert sorted(desk.carrier.references) == sorted([keys[1], keys[2], keys[3]])


async def test_nobody_is_asked_while_the_route_is_shut() -> None:
    async def query(references: Sequence[str]) -> Sequence[Answer]:
        raise AssertionError("asked")

    desk = Desk(unknown=Unknown.QUERY, query=query)
    desk.hold.refused_account(desk.clock(), "401")
    assert await desk.send(desk.window(1, _0=MAYBE)) == [Unsent.DEFERRED]


class Giver:
    """Gives every lease at once, as long as it is there."""

    def __init__(self) -> None:
        self.tokens = 0
        self.gives = asyncio.Event()
        self.gives.set()

    async def take(self, lane: Lane, tokens: int) -> Grant:
        await self.gives.wait()
        await asyncio.sleep(0.001)
        self.tokens += tokens
        now = time.monotonic()
        return Grant(now, now, now)


async def test_a_paced_route_sends_in_parcels_of_a_lease_and_nothing_without_one() -> None:
    giver = Giver()
    pacer = Pacer(50, giver.take)
    task = asyncio.create_task(pacer.run())
    desk = Desk(pacer=pacer)
    outcomes = await desk.send(desk.window(12))
    assert [type(outcome) for outcome in outcomes] == [Accepted] * 12
    assert [len(request) for request in desk.carrier.requests] == [5, 5, 2]
    assert giver.tokens == 12
    giver.gives.clear()
    assert await desk.send(desk.window(3, patience=0.1)) == [Unsent.DEFERRED] * 3
    waiting = desk.window(3)
    desk.sender.submit(Lane.BULK, [waiting])
    await asyncio.sleep(0.01)
    await desk.sender.stop(5)
    assert waiting.outcomes == [Unsent.DEFERRED] * 3
    assert len(desk.carrier.requests) == 3
    task.cancel()
    await asyncio.wait([task])


async def test_for_tokens_it_waits_longer_than_for_a_shut_route(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PATIENCE", 0.01)
    giver = Giver()
    giver.gives.clear()
    pacer = Pacer(50, giver.take)
    task = asyncio.create_task(pacer.run())
    desk = Desk(pacer=pacer)
    desk.elsewhere = True
    window = desk.window(3)
    desk.sender.submit(Lane.BULK, [window])
    await asyncio.sleep(0.05)
    assert not desk.finished
    giver.gives.set()
    await until(lambda: window in desk.finished)
    assert [type(outcome) for outcome in window.outcomes] == [Accepted] * 3
    task.cancel()
    await asyncio.wait([task])
