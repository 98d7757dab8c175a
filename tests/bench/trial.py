"""A measurement on a platform of its own, with carriers of its own: the fault scenarios' harness without a fault."""

import argparse
import random

from tests.chaos import running
from tests.chaos.scenario import Scenario


def run(scenario: Scenario) -> int:
    """Run it as a program; the exit code is 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=scenario.what)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--keep", action="store_true", help="keep ledgers and logs")
    options = parser.parse_args()
    result = running.run(scenario, options.seed, lambda text: print(text, flush=True), keep=options.keep)
    print("; ".join(result.broken) or "kept")
    return 1 if result.broken else 0
