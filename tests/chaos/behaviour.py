"""How a carrier behaves: what it does with a submission, and what it reports of a message afterwards. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Mode(StrEnum):
    """What becomes of a submission."""

    OK = "ok"
    BROKEN = "broken"  # 500, nothing taken
    BUSY = "busy"  # 429 with Retry-After, nothing taken
    DEAF = "deaf"  # nothing taken, no answer
    SLOW = "slow"  # taken, the answer comes after half a minute
    RESET = "reset"  # taken, then the connection is cut
    GARBLED = "garbled"  # taken, the answer cannot be read

    @property
    def takes(self) -> bool:
        """Whether the messages are taken."""
        return self not in (Mode.BROKEN, Mode.BUSY, Mode.DEAF)

    @property
    def leaves_in_doubt(self) -> bool:
        """Whether they are taken and the sender cannot know it."""
        return self in (Mode.SLOW, Mode.RESET, Mode.GARBLED)


RETRY_AFTER = 2  # seconds; what a busy carrier asks for
SLOW_ANSWER = 30.0

# What is reported of one message, in no particular order, what stands in the end, and how often that happens. A report
# of "delivered" is the truth whatever else is said, before or after.
STORIES: Sequence[tuple[tuple[str, ...], str, float]] = (
    (("on_phone", "delivered"), "delivered", 0.90),
    (("on_phone", "undelivered"), "not_delivered", 0.03),
    (("rejected",), "carrier_rejected", 0.02),
    (("undelivered", "delivered"), "delivered", 0.05),
)
COPIES = 5
SPREAD = 2.0  # seconds over which the reports of a message are spread
LATE = 15.0
RARELY = 0.01
CLOCK_OFF = 48 * 3600.0


@dataclass(frozen=True)
class Report:
    """One report, `due` seconds after the submission (0: before it is answered); `clock` is how wrong its time is."""

    status: str
    due: float
    clock: float = 0.0


@dataclass(frozen=True)
class Story:
    """What is reported of a message, and the state it must end in. `stray`: also of a message nobody ever sent."""

    end: str
    reports: Sequence[Report]
    stray: bool = False


PLAIN = Story("delivered", (Report("delivered", 0.001),))


def tangled(random: Random) -> Story:
    """Each report five times, shuffled, some before the answer, some much later, some with a wrong clock."""
    statuses, end, _ = random.choices(STORIES, [share for _, _, share in STORIES])[0]
    early, late = random.random() < RARELY, random.random() < RARELY
    reports = [Report(status, _due(random, early, late), _clock(random)) for status in statuses for _ in range(COPIES)]
    return Story(end, reports, stray=random.random() < RARELY)


def _due(random: Random, early: bool, late: bool) -> float:
    if early:
        return 0.0
    return random.uniform(0.001, SPREAD) + (LATE if late else 0.0)


def _clock(random: Random) -> float:
    return random.choice((-CLOCK_OFF, CLOCK_OFF)) if random.random() < 0.1 else 0.0
