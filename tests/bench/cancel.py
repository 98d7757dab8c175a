"""A campaign cancelled at 10, at 50 and at 90 %: what had been sent, what slipped, what was stopped, and how long it
took until nothing more happened.

    .venv/bin/python -m tests.bench.cancel
"""

import sys
import time

from tests.bench import trial
from tests.bench.addressed import Campaign, total
from tests.chaos import controls
from tests.chaos.load import Load
from tests.chaos.scenario import SETTINGS, Scenario
from tests.chaos.scene import Scene

PEOPLE = 100_000
SHARES = (0.1, 0.5, 0.9)
WITHIN = 120.0


async def cancel_in_turn(scene: Scene) -> None:
    """One after the other, each with the carrier to itself."""
    for share in SHARES:
        campaign = await Campaign.sent(scene, PEOPLE)
        await campaign.until_arrived(share * PEOPLE, within=WITHIN)
        begun = time.monotonic()
        await campaign.control("cancel")
        answered = time.monotonic() - begun
        answers = await campaign.settled(within=WITHIN)
        over = time.monotonic() - begun
        scene.say(f"cancelled at {share:.0%}: answered in {answered:.3f} s, over after {over:.2f} s")
        control = total([answer.get("control") for answer in answers])
        numbers = {name: control.get(name) for name in ("sent_before", "slipped", "stopped")}
        scene.say(f"  {numbers}, planned {total(answers).get('planned')} of {PEOPLE}")


SCENARIO = Scenario(
    "cancel",
    f"{PEOPLE} cancelled at {', '.join(f'{share:.0%}' for share in SHARES)}",
    cancel_in_turn,
    load=Load(per_second=1.0, bulk_every=1e9, most_messages=1_000),
    spared=True,
    per_hit=0,
    settings=SETTINGS,
    besides=controls.some_cancelled,
)

if __name__ == "__main__":
    sys.exit(trial.run(SCENARIO))
