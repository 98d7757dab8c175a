"""Whether the gateway hands anything to Kafka at the moment. Pure."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from libs.bus.failures import Refused
from libs.contracts.routing import Lane

# How many callers can be told "unknown" when Kafka fails: those in flight at that moment, and no more.
MAX_IN_FLIGHT = 256


class Suspect(NamedTuple):
    """A partition that did not acknowledge, and the lane whose client it is asked through."""

    topic: str
    partition: int
    lane: Lane | None


class Breaker:
    """Opens with the first acknowledgement that fails, closes when every suspect acknowledged again.

    It begins open, without suspects: nothing is known of Kafka before the clients are connected.
    """

    def __init__(self, max_in_flight: int = MAX_IN_FLIGHT) -> None:
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._suspects: set[Suspect] = set()
        self._connected = False

    @property
    def is_open(self) -> bool:
        """Whether everything is refused."""
        return not self._connected or bool(self._suspects)

    @property
    def suspects(self) -> frozenset[Suspect]:
        """Whom to ask whether they take records again."""
        return frozenset(self._suspects)

    @contextmanager
    def admission(self) -> Iterator[None]:
        """A place among those in flight. Raises Refused while open and beyond the cap."""
        if self.is_open:
            raise Refused("Kafka does not acknowledge at the moment")
        if self._in_flight >= self._max_in_flight:
            raise Refused(f"{self._max_in_flight} commands wait for Kafka already")
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1

    def connected(self) -> None:
        """The clients know where the partitions are."""
        self._connected = True

    def trip(self, suspect: Suspect) -> None:
        """An acknowledgement failed."""
        self._suspects.add(suspect)

    def proved(self, suspect: Suspect) -> None:
        """A suspect acknowledged."""
        self._suspects.discard(suspect)
