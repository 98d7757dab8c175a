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
    """What was tried before for one delivery of a window. `paid`: an attempt that may have been sent was."""

    attempts: int
    maybe_sent: bool
    paid: bool = False


@dataclass(slots=True, eq=False)
class Window:
    """Claimed deliveries of one chunk. `ordinals` are their places in it; `earlier` has those that were tried before.

    `submit_until` and `expires` are on the monotonic clock: after the first nothing is submitted (the lease would end
    before the answer), after the second nothing is worth sending. `route` is the one it is claimed for (empty: it is
    ended without any), `cost` the micro-units reserved for each delivery that is not paid (0: the tenant is not
    metered), `parks` as in retrying.Standing. `outcomes[i]` belongs to `ordinals[i]`.
    """

    claim_id: UUID
    chunk: SendDeliveries
    ordinals: Sequence[int]
    submit_until: float
    expires: float
    traceparent: str | None = None
    earlier: Mapping[int, Earlier] = field(default_factory=dict)
    route: str = ""
    cost: int = 0
    parks: bool = False
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


URGENT_SHARE = 0.2


class Room:
    """How many deliveries this process may hold claimed: per lane and tenant, per route, and over all.

    What is claimed and not recorded may be sent a second time after a crash, so these numbers are the bound on
    duplicates. A fifth of the total, and of each route, is kept for the urgent lane. A route that is not in `per_route`
    may have it all.
    """

    def __init__(
        self, *, per_tenant: Mapping[Lane, int], total: int, per_route: Mapping[str, int] | None = None
    ) -> None:
        self._per_tenant = per_tenant
        self._per_route = per_route or {}
        self._total = {lane: _share(lane, total) for lane in (Lane.URGENT, Lane.BULK)}
        self._held: dict[tuple[Lane, str], int] = defaultdict(int)
        self._on_route: dict[str, int] = defaultdict(int)
        self.held = 0

    def free(self, lane: Lane, tenant: str, route: str) -> int:
        """How many more deliveries of `tenant` may be claimed for `route`."""
        held = self._held.get((lane, tenant), 0)
        return max(0, min(self._per_tenant[lane] - held, self.free_on(lane, route)))

    def free_on(self, lane: Lane, route: str) -> int:
        """How many more deliveries of all tenants together may be claimed for `route`."""
        held = self._on_route.get(route, 0)
        return max(0, min(self._most_on(lane, route) - held, self.free_in_total(lane)))

    def free_in_total(self, lane: Lane) -> int:
        """How many more deliveries of all tenants on all routes together."""
        return max(0, self._total[lane] - self.held)

    def limit(self, lane: Lane, route: str) -> int:
        """The most that one tenant may ever hold for `route`."""
        return min(self._per_tenant[lane], self._total[lane], self._most_on(lane, route))

    def _most_on(self, lane: Lane, route: str) -> int:
        most = self._per_route.get(route)
        return self._total[lane] if most is None else _share(lane, most)

    def hold(self, lane: Lane, tenant: str, route: str, count: int) -> None:
        """Take room."""
        self._held[lane, tenant] += count
        self._on_route[route] += count
        self.held += count

    def release(self, lane: Lane, tenant: str, route: str, count: int) -> None:
        """Give room back."""
        self.held -= count
        self._on_route[route] -= count
        self._held[lane, tenant] -= count
        if not self._held[lane, tenant]:
            del self._held[lane, tenant]


def _share(lane: Lane, total: int) -> int:
    return total if lane is Lane.URGENT else max(1, int(total * (1 - URGENT_SHARE)))
