"""python -m tests.chaos [scenario ...]: break the platform in turn and count what is lost or doubled."""

import argparse
import logging
import random
import signal
import sys
from collections.abc import Sequence

from tests.chaos import running, table
from tests.chaos.scenarios import SCENARIOS, SHORT

BY_NAME = {scenario.name: scenario for scenario in (*SCENARIOS, SHORT)}


def main(arguments: Sequence[str]) -> int:
    """Run the scenarios one after the other; 1 when a promise was broken."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what Kafka refuses us is expected
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1_000_000)
    results = []
    try:
        for name in options.scenarios or [scenario.name for scenario in SCENARIOS]:
            result = running.run(BY_NAME[name], seed, lambda text: print(text, flush=True), keep=options.keep)
            results.append(result)
            print(f"  {'; '.join(result.broken) or 'kept'}\n", flush=True)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        print(table.markdown(results), flush=True)
    return 1 if any(result.broken for result in results) else 0


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    listed = "\n".join(f"  {scenario.name:8} {scenario.what}" for scenario in BY_NAME.values())
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=f"{__doc__}\n\n{listed}",
        epilog="Each has a fresh platform of its own. The exit code is 1 when a promise was broken.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help="which (all but `short` unless said)")
    parser.add_argument("--seed", type=int, help="for what is left to chance; printed, so that a run can be repeated")
    parser.add_argument("--keep", action="store_true", help="keep ledgers and logs even where nothing was broken")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.scenarios if name not in BY_NAME]:
        parser.error(f"there is no scenario {unknown[0]}; there are {', '.join(BY_NAME)}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
