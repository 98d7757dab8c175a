"""One scenario from the start of its platform to its verdict."""

import asyncio
import contextlib
import shutil
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import aiohttp

from tests.chaos import books, checker, figures, ledger, platform
from tests.chaos.books import Expected
from tests.chaos.calls import Arrival, arrivals_of, calls_of
from tests.chaos.checker import Allowed
from tests.chaos.client import KEEP_TRYING, Client
from tests.chaos.faults import Faults
from tests.chaos.figures import Fault, Figures
from tests.chaos.following import Follower
from tests.chaos.load import MARK
from tests.chaos.platform import Platform
from tests.chaos.scenario import PROMISED_ANSWER, Scenario
from tests.chaos.scene import Scene

WARM_UP = 3.0  # seconds of load before the fault
AFTERWARDS = 3.0  # and after everything is ready again
LAST_LOOK = 2.0  # after the last report was taken
BOOKS_WITHIN = 60.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """What a scenario came to; `figures` are none when it could not be carried through."""

    scenario: Scenario
    seed: int
    bound: int
    figures: Figures | None
    broken: Sequence[str]
    seconds: float


def run(scenario: Scenario, seed: int, say: Say, *, keep: bool = False) -> Result:
    """Start, break, count, stop. Where a promise was broken, or with `keep`, the ledgers and logs stay, and `say` is
    told where."""
    begun = time.monotonic()
    say(f"{scenario.name}  {scenario.what}  (seed {seed}, {dict(scenario.settings)})")
    try:
        with platform.running(scenario.carriers, scenario.settings, scenario.routes) as up:
            figures, allowed, broken = asyncio.run(_live(scenario, up, seed, say))
    except Exception as error:  # noqa: BLE001 - the other scenarios are run all the same
        traceback.print_exc()
        return Result(scenario, seed, 0, None, [f"not carried through: {error!r}"], time.monotonic() - begun)
    if broken or keep:
        up.keep_words_only()
        say(f"  ledgers and logs: {up.folder}")
    else:
        shutil.rmtree(up.folder, ignore_errors=True)
    return Result(scenario, seed, allowed.duplicates, figures, broken, time.monotonic() - begun)


async def _live(scenario: Scenario, up: Platform, seed: int, say: Say) -> tuple[Figures | None, Allowed, Sequence[str]]:
    pids = up.endpoints["processes"]
    headers = {"Authorization": f"Bearer {up.api_key}"}
    connector = aiohttp.TCPConnector(limit=0)
    with ledger.Ledger(up.client_ledger) as writing:
        async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
            scene = _scene(up, session, writing, seed, say)
            following = asyncio.create_task(scene.follower.run())
            try:
                fault = await _break(scenario, scene)
                await _until_final(scenario, scene, say)
                await _last_look(scene)
            finally:
                scene.faults.thaw()
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await following
            strays = sum(state["strays"] for state in await scene.carrier_states())
    calls = calls_of(ledger.read(up.client_ledger))
    counted = figures.join(
        calls,
        _arrivals(up, scenario),
        scene.follower.told,
        fault,
        keys_honoured=all(carrier.honour_keys for carrier in scenario.carriers),
        answer_within=PROMISED_ANSWER if scenario.answers else None,
    )
    allowed = scenario.allowed(scene.faults.hits)
    # A carrier that does not honour keys reports the first copy, too, whose id nobody was told or nobody kept.
    strays += counted.in_doubt + counted.duplicates
    expected = Expected(scene.buried, scene.may_be_buried, strays, len(scene.spoken_of))
    broken = [
        *scene.broken,
        *checker.judge(counted, allowed),
        *scenario.besides(counted),
        *(f"at some moment {one}" for one in scene.follower.contradictions[:5]),
        *(_started_again(pids, up, scene.faults) if scenario.spared else []),
        *(f"books: {one}" for one in (await _books(up, expected) if scenario.settles else ())),
    ]
    _tell(counted, scene.follower, say)
    return counted, allowed, broken


def _scene(up: Platform, session: aiohttp.ClientSession, writing: ledger.Ledger, seed: int, say: Say) -> Scene:
    follower = Follower(session, up.endpoints["gateway"])
    client = Client(
        session,
        writing,
        gateways=up.gateways,
        seed=seed,
        accepted=lambda notification, count, _: follower.add(notification, count),
    )
    return Scene(up, Faults(up, Random(seed), lambda text: say(f"  {text}")), client, follower, session)


def _arrivals(up: Platform, scenario: Scenario) -> list[Arrival]:
    """What a scenario that does not settle sends besides is nobody's promise."""
    return [
        arrival
        for number, carrier in enumerate(up.carriers)
        for arrival in arrivals_of(ledger.read(carrier.ledger), number)
        if scenario.settles or arrival.marker.startswith(MARK)
    ]


async def _break(scenario: Scenario, scene: Scene) -> Fault:
    """Load before, while and after something is broken; returns when every call has its end."""
    client, faults = scene.client, scene.faults
    loading = asyncio.create_task(client.run(scenario.load))
    try:
        await asyncio.sleep(WARM_UP)
        begun = time.time()
        try:
            await scenario.fault(scene)
        except TimeoutError as error:
            scene.broken.append(f"something is not back: {error}")
        cleared = time.time()
        try:
            await faults.ready()
        except TimeoutError as error:
            scene.broken.append(str(error))
        await asyncio.sleep(AFTERWARDS)
        client.stop()
        async with asyncio.timeout(KEEP_TRYING + 30):
            await loading
    finally:
        loading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loading
    return Fault(begun, cleared, faults.down)


async def _until_final(scenario: Scenario, scene: Scene, say: Say) -> None:
    """Wait until nothing is open and every report was taken, bounded: what is open then is stuck."""
    follower = scene.follower
    follower.pace /= 10
    deadline = time.monotonic() + scenario.final_within
    told = time.monotonic()
    while (follower.waiting or not await scene.reports_taken()) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        if time.monotonic() - told > 10:
            told = time.monotonic()
            say(f"  {follower.waiting} notifications are not final yet")


async def _last_look(scene: Scene) -> None:
    """What the last reports did to what was final: they were taken, and a moment later they are counted."""
    await asyncio.sleep(LAST_LOOK)
    if not scene.follower.waiting:
        await scene.follower.look_again()


def _started_again(before: Mapping[str, int], up: Platform, faults: Faults) -> list[str]:
    now = up.endpoints["processes"]
    return [f"{name} was started again" for name, pid in before.items() if now[name] != pid and name not in faults.hits]


async def _books(up: Platform, expected: Expected) -> list[str]:
    """What stays wrong: the last claims are marked a moment after everything is final."""
    deadline = time.monotonic() + BOOKS_WITHIN
    while (wrong := await books.look(up.endpoints["postgres"], expected)) and time.monotonic() < deadline:
        await asyncio.sleep(1.0)
    return wrong


def _tell(figures: Figures, follower: Follower, say: Say) -> None:
    say(f"  answers to {figures.calls} calls: {dict(figures.answers)}")
    say(
        f"  {figures.accepted} messages accepted, {len(figures.lost)} lost, {figures.duplicates} duplicates, "
        f"{figures.repeats} repeated references, {figures.in_doubt} in doubt, {len(figures.stuck)} notifications stuck"
    )
    if figures.cancelled_calls:
        say(f"  {figures.cancelled_calls} notifications cancelled, {figures.after_cancel} messages left after it")
    if figures.absorbed:
        say(f"  {figures.absorbed} calls were on their way before they were answered")
    if figures.refused:
        say(f"  refused messages by the last cause: {dict(figures.refused)}")
    if follower.refusals:
        say(f"  questions without an answer: {follower.refusals}")
