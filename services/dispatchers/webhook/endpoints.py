"""What is known of each endpoint: whether it may be called now, and for how long not."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, TypeVar

from libs.contracts.outcomes import Accepted, Outcome, Throttled
from libs.outbound_urls import OutboundUrl
from services.dispatchers.breaker import Breaker
from services.dispatchers.holding import RouteHold
from services.dispatchers.webhook.places import Places
from services.dispatchers.webhook.standard import GONE

# What answered 410 is asked again after this time: nobody else could tell us that it is back.
GONE_FOR = 10 * 60.0  # seconds
# Remembered of each kind; whoever is forgotten is met without prejudice.
REMEMBERED = 10_000

T = TypeVar("T")


@dataclass(slots=True)
class Server:
    """Where one tenant's URLs of one origin lead: a server that is down is left alone whatever the path."""

    places: Places
    breaker: Breaker = field(default_factory=Breaker)


@dataclass(slots=True)
class Endpoint:
    """One URL of one tenant. All times are seconds on the monotonic clock."""

    server: Server
    hold: RouteHold = field(default_factory=RouteHold)
    gone_until: float = 0.0

    def refusal(self, now: float) -> Outcome | None:
        """What a message comes to without a call; none when a call may be tried."""
        if now < self.gone_until:
            return GONE
        pause = max(self.hold.remaining(now), self.server.breaker.remaining(now))
        return Throttled("the endpoint is left alone for a while", timedelta(seconds=pause)) if pause else None

    def begin(self, now: float) -> Outcome | None:
        """The same, right before the call: of those that waited for a server's recovery only one is the probe."""
        refused = self.refusal(now)
        if refused is None and not self.server.breaker.begin(now):
            return self.refusal(now)
        return refused

    def heard(self, outcome: Outcome, now: float, started: float) -> Outcome:
        """A call begun at `started` was answered, and this is what it means; what it comes to."""
        self.server.breaker.succeeded(now, started)
        match outcome:
            case Throttled(reason, retry_after):
                self.hold.throttled(now, started, retry_after)
                return Throttled(reason, timedelta(seconds=self.hold.remaining(now)))
            case Accepted():
                self.hold.passed(started)
            case _ if outcome is GONE:
                self.gone_until = now + GONE_FOR
        return outcome

    def failed(self, now: float, started: float, *, answered: bool) -> None:
        """A call begun at `started` found the server broken.

        Where no answer came the endpoint is held as by a throttle: the call had one of few places for as long as we
        wait, and those behind it would fare the same.
        """
        self.server.breaker.failed(now, started)
        if not answered:
            self.hold.throttled(now, started, None)


class Endpoints:
    """Found by tenant and URL. `per_tenant` and `per_server` are how many calls at once a tenant's endpoints get, and
    of these one server."""

    def __init__(self, *, per_tenant: int, per_server: int, remembered: int = REMEMBERED) -> None:
        self._per_tenant = per_tenant
        self._per_server = per_server
        self._tenants: _Recent[Places] = _Recent(remembered)
        self._servers: _Recent[Server] = _Recent(remembered)
        self._endpoints: _Recent[Endpoint] = _Recent(remembered)

    def places(self, tenant: str) -> Places:
        """Those of a tenant."""
        return self._tenants.get((tenant, ""), lambda: Places(self._per_tenant))

    def at(self, tenant: str, target: OutboundUrl) -> Endpoint:
        """The endpoint, met for the first time or known."""
        return self._endpoints.get((tenant, target.url), lambda: Endpoint(self._server(tenant, target.origin)))

    def _server(self, tenant: str, origin: str) -> Server:
        return self._servers.get((tenant, origin), lambda: Server(Places(self._per_server)))


class _Recent(Generic[T]):
    """By tenant and name; the longest unused are forgotten."""

    def __init__(self, remembered: int) -> None:
        self._remembered = remembered
        self._values: OrderedDict[tuple[str, str], T] = OrderedDict()

    def get(self, key: tuple[str, str], make: Callable[[], T]) -> T:
        if key not in self._values:
            self._values[key] = make()
            if len(self._values) > self._remembered:
                self._values.popitem(last=False)
        self._values.move_to_end(key)
        return self._values[key]
