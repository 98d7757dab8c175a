"""A carrier that takes 50 messages a second, four dispatchers that share it: how many it sees in any second.

    .venv/bin/python -m tests.bench.rate

Starts a platform of its own. The exit code is 1 when any second saw more than the rate and one lease.
"""

import asyncio
import sys
from collections.abc import Sequence

from tests.bench import trial
from tests.chaos.calls import arrivals_of
from tests.chaos.carriers import Carrier
from tests.chaos.ledger import read
from tests.chaos.load import Load
from tests.chaos.routes import Route, written
from tests.chaos.scenario import SETTINGS, Scenario
from tests.chaos.scene import Scene

RATE = 50
DISPATCHERS = 4
LEASE = 0.1  # seconds worth of messages that a process may be given at once
CAMPAIGN = 1500
SECONDS = 30.0
WITHIN = 90.0


def busiest_second(instants: Sequence[float]) -> int:
    """The most of them within any second."""
    ordered = sorted(instants)
    most = first = 0
    for last, instant in enumerate(ordered):
        while instant - ordered[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def limited(carriers: Sequence[Carrier]) -> str:
    """The file of routes."""
    return written([Route("limited", carriers[0], f"rate = {RATE}")])


async def send_campaign(scene: Scene) -> None:
    """A campaign, and single messages beside it."""
    call = scene.client.another(CAMPAIGN)
    await scene.client.carry_through(call)
    await asyncio.sleep(SECONDS)
    ledger = scene.up.carriers[0].ledger
    async with asyncio.timeout(WITHIN):
        while sum(one.marker == call.marker for one in arrivals_of(read(ledger))) < CAMPAIGN:
            await asyncio.sleep(1.0)
    instants = sorted(one.at for one in arrivals_of(read(ledger)))
    most, bound = busiest_second(instants), RATE + max(1, int(RATE * LEASE))
    mean = len(instants) / (instants[-1] - instants[0])
    scene.say(f"{len(instants)} messages, {mean:.1f}/s; the busiest second saw {most}, {bound} are allowed")
    scene.expect(most <= bound, f"{most} messages in a second, {RATE} and a lease make {bound}")


SCENARIO = Scenario(
    "rate",
    f"{RATE} messages a second over {DISPATCHERS} dispatchers",
    send_campaign,
    routes=limited,
    load=Load(per_second=5.0, bulk_every=1000.0, most_messages=2_000),
    spared=True,
    per_hit=0,
    recovery=60.0,
    settings={**SETTINGS, "REPLICAS": f"dispatcher-sms={DISPATCHERS}"},
)

if __name__ == "__main__":
    sys.exit(trial.run(SCENARIO))
