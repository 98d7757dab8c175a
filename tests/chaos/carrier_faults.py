"""Carriers that fail in every way, and carriers whose reports are a tangle."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from tests.chaos.behaviour import Mode
from tests.chaos.calls import turned_away
from tests.chaos.carriers import Carrier, CarrierMode
from tests.chaos.figures import Figures
from tests.chaos.ledger import read
from tests.chaos.load import Load
from tests.chaos.routes import Route, written
from tests.chaos.scenario import Scenario
from tests.chaos.scene import Scene

FAILING = 20.0  # seconds: longer than a request may take
FREEZE = 20.0
# Until the breaker's probe after the fault, and then until the last of the bulk lane's first retries is due.
RECOVERY = 95.0
# Requests of a second once the breaker should be open: a probe, and what was on its way.
FEW = 5
LOOK_AT_LAST = 8.0

_LOAD = Load(per_second=20.0, bulk_every=4.0, bulk_size=600, most_messages=12_000)


def failing(mode: Mode) -> Callable[[Scene], Awaitable[None]]:
    """The carrier behaves so for a while."""

    async def fail(scene: Scene) -> None:
        await scene.behave(mode)
        await asyncio.sleep(FAILING)
        await scene.behave(Mode.OK)
        _tell_requests(scene)

    return fail


def _tell_requests(scene: Scene) -> None:
    """A carrier that fails is left alone after a while."""
    tries = turned_away(read(scene.up.carriers[0].ledger))
    if not tries:
        return
    last = max(at for _, at, _ in tries)
    begun = min(at for _, at, _ in tries)
    late = sum(at > begun + FAILING - LOOK_AT_LAST for _, at, _ in tries)
    scene.say(f"{len(tries)} requests turned away in {last - begun:.1f} s, {late} in the last {LOOK_AT_LAST:g} s")
    scene.expect(late <= FEW * LOOK_AT_LAST, f"{late} requests in {LOOK_AT_LAST:g} s to a carrier that fails for long")


async def half_open(scene: Scene) -> None:
    """Connections are taken, and nobody is there; what lies in them is read when the carrier is back."""
    scene.faults.stop_carrier(0)
    await asyncio.sleep(FREEZE)
    scene.faults.thaw()
    scene.say("thawed carrier 0")


async def only_load(scene: Scene) -> None:
    """Nothing is broken but what the carrier reports."""
    await asyncio.sleep(15.0)


def something_in_doubt(figures: Figures) -> Sequence[str]:
    """A run in which the carrier took nothing without saying so proves nothing."""
    return [] if figures.in_doubt else ["nothing was in doubt: this run proves nothing"]


def two_routes(carriers: Sequence[Carrier]) -> str:
    """The file of routes: the second carrier takes what the first one cannot."""
    first, second = carriers
    return written([Route("first", first, "priority = 1"), Route("second", second, "priority = 2")])


def something_went_elsewhere(figures: Figures) -> Sequence[str]:
    """The second carrier got what was not in doubt."""
    return [] if figures.by_carrier.get(1) else ["nothing went to the other carrier"]


def _f12(name: str, what: str, mode: Mode, *, honour_keys: bool = True) -> Scenario:
    return Scenario(
        f"F12-{name}",
        f"the carrier {what} for {FAILING:g} s",
        failing(mode),
        carriers=[CarrierMode(honour_keys=honour_keys)],
        load=_LOAD,
        spared=True,
        answers=True,
        per_hit=0,
        recovery=RECOVERY,
        final_within=200.0,
        besides=something_in_doubt if mode.leaves_in_doubt else lambda figures: (),
    )


SCENARIOS = (
    _f12("500", "answers 500", Mode.BROKEN),
    _f12("429", "answers 429 with Retry-After", Mode.BUSY),
    _f12("slow", "takes everything and answers after 30 s", Mode.SLOW),
    _f12("deaf", "takes nothing and does not answer", Mode.DEAF),
    _f12("reset", "takes everything and cuts the connection; it does not honour keys", Mode.RESET, honour_keys=False),
    _f12("garbled", "takes everything and answers nonsense", Mode.GARBLED),
    Scenario(
        "F12-half",
        f"SIGSTOP the carrier for {FREEZE:g} s; it honours keys",
        half_open,
        carriers=[CarrierMode(honour_keys=True)],
        load=_LOAD,
        spared=True,
        answers=True,
        per_hit=0,
        recovery=RECOVERY,
        final_within=200.0,
    ),
    *(
        replace(
            _f12(f"{name}-two", f"{what}, beside another one", mode, honour_keys=False),
            carriers=[CarrierMode(), CarrierMode()],
            routes=two_routes,
            besides=something_went_elsewhere,
        )
        for name, what, mode in (
            ("500", "answers 500", Mode.BROKEN),
            ("reset", "takes everything and cuts the connection", Mode.RESET),
        )
    ),
    Scenario(
        "F13",
        "each report five times, shuffled; some before the answer, late, of unknown messages, with clocks 48 h off",
        only_load,
        carriers=[CarrierMode(delay=0.1, tangled=13)],
        load=_LOAD,
        spared=True,
        answers=True,
        per_hit=0,
    ),
)
