"""Sends dead letters round again: `python -m libs.redrive --service ingest --dry-run`.

Takes the original bytes, key and headers to the original topic and partition, and notes in the row when and by whom.
What was redriven before, and what came back from it, is left alone, so running it again sends nothing twice.
KAFKA_* says where Kafka is, REDRIVE_DATABASE where the service's schema is.
"""

import argparse
import asyncio
import getpass
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Protocol, TextIO, TypeVar

from pydantic import SecretStr

from libs.bus import BusSettings, Resender, Unpublishable
from libs.contracts.dead_letters import DeadLetter
from libs.contracts.failures import Unavailable
from libs.contracts.topics import DISPATCHERS, TOPICS
from libs.settings import Settings, SettingsError, load
from libs.storage import BuriedLetters, Counted, Database, Selection

N = TypeVar("N", int, float)

MOST = 1_000_000
STEPS_PER_SECOND = 10
MAX_STEP = 50  # letters of up to 4 MiB
# Counting reads every letter's bytes, and a step waits for Kafka inside its transaction.
COMMAND_TIMEOUT = 60.0
CONSUMERS = sorted({consumer for topic in TOPICS for consumer in topic.consumers})


class RedriveSettings(Settings):
    """`database` is a Postgres DSN whose role may change the service's dead letters."""

    PREFIX: ClassVar[str] = "REDRIVE_"

    database: SecretStr


class Sends(Protocol):
    """What takes records to Kafka."""

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """Write them all, and await the acknowledgements."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast: `rate` letters a second, in steps."""

    rate: float

    @property
    def step(self) -> int:
        """Letters of one transaction and one publish."""
        return min(max(1, int(self.rate / STEPS_PER_SECOND)), MAX_STEP)

    @property
    def seconds(self) -> float:
        """How long a step has to take."""
        return self.step / self.rate


async def redrive(
    letters: BuriedLetters, kafka: Sends, selection: Selection, *, pace: Pace, by: str, limit: int | None = None
) -> int:
    """Send what `selection` finds now, and answer how many. What is buried while it runs is not sent.

    Raises Unavailable and Unpublishable; what was sent until then stands as redriven, but for the step in work.
    """
    found, sent = await letters.find(selection, limit=limit), 0
    for start in range(0, len(found.ids), pace.step):
        began = time.monotonic()
        async with letters.taken(found.ids[start : start + pace.step], found.at, by=by) as step:
            await kafka.send(step)
        sent += len(step)
        if start + pace.step < len(found.ids):
            await asyncio.sleep(max(0.0, began + pace.seconds - time.monotonic()))
    return sent


def schema_of(service: str) -> str:
    """The schema that holds a service's dead letters; all dispatchers share one."""
    return "dispatch" if service in DISPATCHERS else service


def topics_of(service: str, wanted: Sequence[str]) -> Sequence[str]:
    """The names of the topics a service reads, of all or of those `wanted`; a command's name means both its lanes.

    Raises ValueError for one that the service does not read.
    """
    read = [topic for topic in TOPICS if service in topic.consumers]
    for name in wanted:
        if not any(name in (topic.name, topic.name.removesuffix(f".{topic.lane}")) for topic in read):
            raise ValueError(f"{service} reads no {name}")
    return [
        topic.name
        for topic in read
        if not wanted or topic.name in wanted or topic.name.removesuffix(f".{topic.lane}") in wanted
    ]


def described(service: str, counted: Sequence[Counted]) -> str:
    """What there is, a line a topic and error class."""
    if not counted:
        return f"no dead letters of {service} match\n"
    width = max(len(one.topic) for one in counted)
    lines = [f"dead letters of {service}:"]
    for one in counted:
        came_back = f", {one.came_back} of them came back after a redrive (--again)" if one.came_back else ""
        lines.append(
            f"{one.letters:7}  {one.topic:{width}}  {one.error_class}  {one.first:%Y-%m-%dT%H:%M:%SZ} to "
            f"{one.last:%Y-%m-%dT%H:%M:%SZ}{came_back}"
        )
    return "\n".join(lines) + "\n"


async def _run(options: argparse.Namespace, selection: Selection, report: TextIO) -> None:
    settings, bus = load(RedriveSettings), load(BusSettings)
    async with AsyncExitStack() as stack:
        database = await Database.connect(
            settings.database.get_secret_value(), service="redrive", max_size=1, command_timeout=COMMAND_TIMEOUT
        )
        stack.push_async_callback(database.close)
        letters = BuriedLetters(database, schema_of(options.service))
        counted = await letters.count(selection)
        report.write(described(options.service, counted))
        if options.dry_run or not counted:
            return
        kafka = Resender(bus)
        await kafka.start()
        stack.push_async_callback(kafka.stop)
        sent = await redrive(letters, kafka, selection, pace=Pace(options.rate), by=options.by, limit=options.limit)
        report.write(f"{sent} sent again by {options.by}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m libs.redrive", description=__doc__)
    parser.add_argument("--service", required=True, choices=CONSUMERS, help="whose dead letters")
    parser.add_argument("--topic", action="append", default=[], help="only of this topic; may be repeated")
    parser.add_argument("--error-class", help="only of this class, as the dry run shows it")
    parser.add_argument("--since", type=_instant, help="only buried since then, ISO 8601 (UTC unless it says)")
    parser.add_argument("--ids", type=_ids, help="only these rows, separated by commas")
    parser.add_argument("--again", action="store_true", help="also what was redriven before or came back from it")
    parser.add_argument("--dry-run", action="store_true", help="only say how many of which class there are")
    parser.add_argument("--limit", type=_positive(int), help="not more than this many, the oldest first")
    parser.add_argument("--rate", type=_positive(float), default=100.0, help="letters a second (default 100)")
    parser.add_argument("--by", default=_user(), help="who does it, for the record (default: %(default)s)")
    return parser


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"


def _instant(text: str) -> datetime:
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no ISO 8601 time") from None
    return given if given.tzinfo else given.replace(tzinfo=UTC)


def _ids(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError("numbers separated by commas") from None


def _positive(kind: type[N]) -> Callable[[str], N]:
    def parse(text: str) -> N:
        try:
            number = kind(text)
        except ValueError:
            number = kind(0)
        if not 0 < number < MOST:
            raise argparse.ArgumentTypeError("a number above 0")
        return number

    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Exit status: 0 done, 1 not or not all (run it again), 2 called wrongly."""
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        topics = topics_of(options.service, options.topic)
    except ValueError as error:
        parser.error(str(error))
    selection = Selection(topics, options.error_class, options.since, options.ids, options.again)
    try:
        asyncio.run(_run(options, selection, sys.stdout))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (Unavailable, Unpublishable) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
