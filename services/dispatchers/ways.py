"""A channel's routes at work: which of them takes a tenant's messages now, and what each is doing."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from libs.contracts.failures import Unavailable
from libs.contracts.routing import Lane
from services.dispatchers.breaker import Breaker
from services.dispatchers.choosing import in_order
from services.dispatchers.holding import RouteHold
from services.dispatchers.pacing import Pacer
from services.dispatchers.route import Route
from services.dispatchers.sending import Sender
from services.dispatchers.windows import Window

MOST_ORDERS = 10_000  # tenants of whom the order of routes is remembered


@dataclass(frozen=True, slots=True)
class Way:
    """A route and its working parts. Without a `pacer` it has no rate."""

    route: Route
    hold: RouteHold
    breaker: Breaker
    sender: Sender
    pacer: Pacer | None


class Ways:
    """The routes of one channel. `finished` is called with each window whose deliveries all have an outcome."""

    def __init__(
        self,
        routes: Sequence[Route],
        *,
        finished: Callable[[Window], None],
        pacer: Callable[[Route], Pacer | None] = lambda route: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._routes = routes
        self._ways: Mapping[str, Way] = {route.name: self._way(route, finished, pacer(route)) for route in routes}
        self._orders: dict[str, Sequence[Way]] = {}

    def _way(self, route: Route, finished: Callable[[Window], None], pacer: Pacer | None) -> Way:
        hold, breaker = RouteHold(), Breaker()
        sender = Sender(
            route,
            hold=hold,
            breaker=breaker,
            pacer=pacer,
            finished=finished,
            goes_elsewhere=lambda tenant: self._other_open(route.name, tenant),
            clock=self._clock,
        )
        return Way(route, hold, breaker, sender, pacer)

    @property
    def names(self) -> Sequence[str]:
        """Of all routes."""
        return list(self._ways)

    def open_to(self, tenant: str) -> str | None:
        """The best route that takes a tenant's messages now."""
        now = self._clock()
        return next((way.route.name for way in self._order(tenant) if _is_open(way, now)), None)

    def is_open(self, name: str) -> bool:
        """Whether a route takes messages now; one that is there no more does not."""
        way = self._ways.get(name)
        return way is not None and _is_open(way, self._clock())

    def most(self, name: str) -> int | None:
        """The most that is to be claimed for a route at once: a request's worth while it is being tried, else any
        number."""
        way = self._ways[name]
        return None if way.breaker.is_closed else way.sender.batch

    def held_for(self, window: Window) -> float:
        """Seconds until what is left of a window may be sent: at once where another route takes it."""
        way = self._ways.get(window.route)
        remaining = way.sender.shut_for(self._clock()) if way else 0.0
        if not remaining or any(before.maybe_sent for before in window.earlier.values()):
            return remaining
        return 0.0 if self._other_open(window.route, window.chunk.tenant) else remaining

    def submit(self, lane: Lane, windows: Sequence[Window]) -> None:
        """Begin to send, each window on its route, oldest first. Returns at once."""
        by_route: dict[str, list[Window]] = defaultdict(list)
        for window in windows:
            by_route[window.route].append(window)
        for name, its_windows in by_route.items():
            self._ways[name].sender.submit(lane, its_windows)

    def pacers(self) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What has to run beside, by the name of the route."""
        return {name: way.pacer.run for name, way in self._ways.items() if way.pacer}

    async def stop(self, within: float) -> None:
        """Submit nothing more, and wait at most `within` seconds for what is in flight."""
        await asyncio.gather(*(way.sender.stop(within) for way in self._ways.values()))

    async def check(self, name: str) -> None:
        """For health. Raises Unavailable while our account with the route's carrier is refused."""
        if reason := self._ways[name].hold.misconfigured:
            raise Unavailable(f"the carrier refuses our account: {reason}")

    def _order(self, tenant: str) -> Sequence[Way]:
        order = self._orders.get(tenant)
        if order is None:
            if len(self._orders) >= MOST_ORDERS:
                self._orders.clear()
            order = [self._ways[route.name] for route in in_order(self._routes, tenant)]
            self._orders[tenant] = order
        return order

    def _other_open(self, name: str, tenant: str) -> bool:
        now = self._clock()
        return any(way.route.name != name and _is_open(way, now) for way in self._order(tenant))


def _is_open(way: Way, now: float) -> bool:
    return not way.sender.is_stopping and not way.sender.shut_for(now)
