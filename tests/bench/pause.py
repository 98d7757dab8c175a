"""A campaign that is paused, outlives a restart of everything, is resumed, and reaches everybody once.

.venv/bin/python -m tests.bench.pause
"""

import asyncio
import sys
import time

from tests.bench import trial
from tests.bench.addressed import Campaign
from tests.chaos.load import Load
from tests.chaos.scenario import SETTINGS, WINDOW, Scenario
from tests.chaos.scene import Scene

PEOPLE = 100_000
SHARE = 0.1
STILL = 3.0  # seconds
WITHIN = 180.0


async def pause_and_restart(scene: Scene) -> None:
    """Paused at a tenth, everything stopped and started in turn, Kafka and Postgres among it, then resumed."""
    campaign = await Campaign.sent(scene, PEOPLE)
    await campaign.until_arrived(SHARE * PEOPLE, within=WITHIN)
    await campaign.control("pause")
    await asyncio.sleep(STILL)
    before = campaign.arrived()
    await scene.faults.restart_in_turn([*scene.faults.services, "kafka", "postgres"])
    await asyncio.sleep(STILL)
    more = campaign.arrived() - before
    scene.say(f"paused at {before}; {more} more arrived during the restart of everything")
    scene.expect(more <= WINDOW, f"{more} left while it was paused")
    resumed = time.monotonic()
    await campaign.control("resume")
    await campaign.settled(within=WITHIN)
    seconds = time.monotonic() - resumed
    scene.say(f"the other {PEOPLE - before} took {seconds:.1f} s, {(PEOPLE - before) / seconds:.0f}/s")


SCENARIO = Scenario(
    "pause",
    f"{PEOPLE} paused, everything restarted, resumed",
    pause_and_restart,
    load=Load(per_second=1.0, bulk_every=1e9, most_messages=1_000),
    per_hit=0,
    recovery=60.0,
    settings=SETTINGS,
)

if __name__ == "__main__":
    sys.exit(trial.run(SCENARIO))
