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

from tests.chaos import books, checker, ledger, platform
from tests.chaos.calls import arrivals_of, calls_of
from tests.chaos.checker import Allowed, Fault, Figures
from tests.chaos.client import KEEP_TRYING, Client
from tests.chaos.faults import Faults
from tests.chaos.following import Follower
from tests.chaos.platform import Platform
from tests.chaos.scenarios import PROMISED_ANSWER, Scenario

WARM_UP = 3.0  # seconds of load before the fault
AFTERWARDS = 3.0  # and after everything is ready again
FINAL_WITHIN = 120.0
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
        with platform.running(scenario.carrier, scenario.settings) as up:
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
    faults = Faults(up, Random(seed), lambda text: say(f"  {text}"))
    pids = up.endpoints["processes"]
    headers = {"Authorization": f"Bearer {up.api_key}"}
    connector = aiohttp.TCPConnector(limit=0)
    with ledger.Ledger(up.client_ledger) as writing:
        async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
            gateway = up.endpoints["gateway"]
            follower = Follower(session, gateway)
            client = Client(
                session,
                writing,
                gateway=gateway,
                seed=seed,
                accepted=lambda notification, count, _: follower.add(notification, count),
            )
            following = asyncio.create_task(follower.run())
            try:
                fault, trouble = await _break(scenario, client, faults)
                await _until_final(follower, say)
            finally:
                faults.thaw()
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await following
    calls = calls_of(ledger.read(up.client_ledger))
    figures = checker.join(
        calls,
        arrivals_of(ledger.read(up.carrier_ledger)),
        follower.told,
        fault,
        keys_honoured=scenario.carrier.honour_keys,
        answer_within=PROMISED_ANSWER if scenario.answers else None,
    )
    allowed = Allowed(
        duplicates=scenario.bound(faults.hits), answer_within=PROMISED_ANSWER if scenario.answers else None
    )
    broken = [
        *trouble,
        *checker.judge(figures, allowed),
        *(f"at some moment {one}" for one in follower.contradictions[:5]),
        *(_started_again(pids, up, faults) if scenario.spared else []),
        *(f"books: {one}" for one in await _books(up)),
    ]
    _tell(figures, follower, say)
    return figures, allowed, broken


async def _break(scenario: Scenario, client: Client, faults: Faults) -> tuple[Fault, list[str]]:
    """Load before, while and after something is broken; returns when every call has its end."""
    trouble = []
    loading = asyncio.create_task(client.run(scenario.load))
    try:
        await asyncio.sleep(WARM_UP)
        begun = time.time()
        try:
            await scenario.fault(faults)
        except TimeoutError as error:
            trouble.append(f"something is not back: {error}")
        cleared = time.time()
        try:
            await faults.ready()
        except TimeoutError as error:
            trouble.append(str(error))
        await asyncio.sleep(AFTERWARDS)
        client.stop()
        async with asyncio.timeout(KEEP_TRYING + 30):
            await loading
    finally:
        loading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loading
    return Fault(begun, cleared, faults.down), trouble


async def _until_final(follower: Follower, say: Say) -> None:
    """Wait until nothing is open, bounded: what is open then is stuck."""
    follower.pace /= 10
    deadline = time.monotonic() + FINAL_WITHIN
    told = time.monotonic()
    while follower.waiting and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
        if time.monotonic() - told > 10:
            told = time.monotonic()
            say(f"  {follower.waiting} notifications are not final yet")


def _started_again(before: Mapping[str, int], up: Platform, faults: Faults) -> list[str]:
    now = up.endpoints["processes"]
    return [f"{name} was started again" for name, pid in before.items() if now[name] != pid and name not in faults.hits]


async def _books(up: Platform) -> list[str]:
    """What stays wrong: the last claims are marked a moment after everything is final."""
    deadline = time.monotonic() + BOOKS_WITHIN
    while (wrong := await books.look(up.endpoints["postgres"])) and time.monotonic() < deadline:
        await asyncio.sleep(1.0)
    return wrong


def _tell(figures: Figures, follower: Follower, say: Say) -> None:
    say(f"  answers to {figures.calls} calls: {dict(figures.answers)}")
    say(
        f"  {figures.accepted} messages accepted, {len(figures.lost)} lost, {figures.duplicates} duplicates, "
        f"{figures.repeats} repeated references, {len(figures.stuck)} notifications stuck"
    )
    if figures.refused:
        say(f"  refused messages by the last cause: {dict(figures.refused)}")
    if follower.refusals:
        say(f"  questions without an answer: {follower.refusals}")
