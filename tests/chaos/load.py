"""What the client sends: single urgent messages all the time, and a bulk call now and then. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

MARK = "chaos"  # begins every text
NUMBERS = 100_000_000  # there are so many telephone numbers behind +485
FIRST_BESIDE = 1_000_000  # the number of the first call beside the load


@dataclass(frozen=True)
class Load:
    """How much. `per_second` single messages, and every `bulk_every` seconds one call to `bulk_size` addresses; no more
    than `most_messages` altogether."""

    per_second: float = 20.0
    bulk_every: float = 4.0
    bulk_size: int = 800
    most_messages: int = 20_000


@dataclass(frozen=True)
class Planned:
    """One call: when it is due (seconds from the start), what it says, and to which consecutive numbers."""

    number: int
    due: float
    marker: str
    first: int
    count: int


def address(number: int) -> str:
    """A phone number of its own for each number from 0."""
    return f"+485{number % NUMBERS:08d}"


def plan(load: Load, seed: int) -> Iterator[Planned]:
    """Calls in the order of their time. No address and no marker occurs twice."""
    random = Random(seed)
    run = f"{random.getrandbits(40):010x}"
    first = random.randrange(NUMBERS)
    number = messages = 0
    due, next_bulk = 0.0, load.bulk_every / 2
    while messages < load.most_messages:
        is_bulk = due >= next_bulk
        count = min(load.bulk_size if is_bulk else 1, load.most_messages - messages)
        yield Planned(number, due, f"{MARK} {run} {number:06d}", first + messages, count)
        number += 1
        messages += count
        if is_bulk:
            next_bulk += load.bulk_every
        else:
            due += random.uniform(0.5, 1.5) / load.per_second


class Besides:
    """Calls beside the load, of any size; none shares an address or a marker with another or with the load."""

    def __init__(self, seed: int) -> None:
        random = Random(seed)
        self._run = f"{random.getrandbits(40):010x}"
        self._first = random.randrange(NUMBERS) + NUMBERS // 2
        self._number = FIRST_BESIDE

    def another(self, size: int) -> Planned:
        """The next one."""
        call = Planned(self._number, 0.0, f"{MARK} {self._run} {self._number}", self._first, size)
        self._number += 1
        self._first += size
        return call
