"""What a process holds claimed: windows, the parcels they are sent in, and how much room is left."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from libs.contracts.commands import SendDeliveries
from libs.contracts.outcomes import Outcome
from libs.contracts.routing import Lane
from services.dispatchers.retrying import Unsent


class Earlier(NamedTuple):
    """What was tried before for one delivery of a window."""

    attempts: int
    maybe_sent: bool


@dataclass(slots=True, eq=False)
class Window:
    """Claimed deliveries of one chunk. `ordinals` are their places in it; `earlier` has those that were tried before.

    `submit_until` and `expires` are on the monotonic clock: after the first nothing is submitted (the lease would end
    before the answer), after the second nothing is worth sending. `outcomes[i]` belongs to `ordinals[i]`.
    """

    claim_id: UUID
    chunk: SendDeliveries
    ordinals: Sequence[int]
    submit_until: float
    expires: float
    traceparent: str | None = None
    earlier: Mapping[int, Earlier] = field(default_factory=dict)
    outcomes: list[Outcome | Unsent | None] = field(init=False)
    missing: int = field(init=False)

    def __post_init__(self) -> None:
        self.missing = len(self.ordinals)
        self.outcomes = [None] * self.missing

    def settle(self, start: int, outcomes: Sequence[Outcome | Unsent]) -> bool:
        """Note the outcomes of `ordinals[start:]`; whether the window is complete now."""
        self.outcomes[start : start + len(outcomes)] = outcomes
        self.missing -= len(outcomes)
        return not self.missing


class Slice(NamedTuple):
    """`window.ordinals[start:stop]`."""

    window: Window
    start: int
    stop: int

    @property
    def ordinals(self) -> Sequence[int]:
        """The places in the chunk."""
        return self.window.ordinals[self.start : self.stop]


def pack(windows: Iterable[Window], limit: int) -> list[list[Slice]]:
    """Fill parcels of at most `limit` deliveries in the order given; a parcel may hold parts of several windows."""
    parcels: list[list[Slice]] = []
    room = 0
    for window in windows:
        start, end = 0, len(window.ordinals)
        while start < end:
            if not room:
                parcels.append([])
                room = limit
            stop = min(end, start + room)
            parcels[-1].append(Slice(window, start, stop))
            room -= stop - start
            start = stop
    return parcels


class Room:
    """How many deliveries this process may hold claimed: per lane and tenant, and over all.

    What is claimed and not recorded may be sent a second time after a crash, so these numbers are the bound on
    duplicates. A fifth of the total is kept for the urgent lane.
    """

    URGENT_SHARE = 0.2

    def __init__(self, *, per_tenant: Mapping[Lane, int], total: int) -> None:
        self._per_tenant = per_tenant
        self._total = {Lane.URGENT: total, Lane.BULK: max(1, int(total * (1 - self.URGENT_SHARE)))}
        self._held: dict[tuple[Lane, str], int] = defaultdict(int)
        self.held = 0

    def free(self, lane: Lane, tenant: str) -> int:
        """How many more deliveries of `tenant` may be claimed."""
        held = self._held.get((lane, tenant), 0)
        return max(0, min(self._per_tenant[lane] - held, self.free_in_total(lane)))

    def free_in_total(self, lane: Lane) -> int:
        """How many more deliveries of all tenants together."""
        return max(0, self._total[lane] - self.held)

    def limit(self, lane: Lane) -> int:
        """The most that one tenant may ever hold."""
        return min(self._per_tenant[lane], self._total[lane])

    def hold(self, lane: Lane, tenant: str, count: int) -> None:
        """Take room."""
        self._held[lane, tenant] += count
        self.held += count

    def release(self, lane: Lane, tenant: str, count: int) -> None:
        """Give room back."""
        self.held -= count
        self._held[lane, tenant] -= count
        if not self._held[lane, tenant]:
            del self._held[lane, tenant]
