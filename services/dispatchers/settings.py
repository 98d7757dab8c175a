"""What every dispatcher has to be told, whatever its channel."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, SecretStr, model_validator

from libs.settings import EVERY_LANE, Port, ServedLanes, ServiceSettings
from services.dispatchers.account import Account
from services.dispatchers.leases import LEASE, SHORTEST_LEASE
from services.dispatchers.provider import Provider
from services.dispatchers.route_file import Concurrency, HttpUrl, RouteSettings, Sender, routes_in

Secret = Annotated[SecretStr, Field(min_length=16)]


class DispatcherSettings(ServiceSettings):
    """What the settings of each channel build on.

    `window_*` is how many deliveries of one tenant a process may hold claimed in a lane, `window_total` over all: what
    is claimed and not recorded may be sent twice after a crash, so these are the bound on duplicates. `concurrency_*`
    is how many requests are in flight on a route. A claim is its owner's for the `lease`. `price` is what a segment
    costs a tenant that has an account, in millionths of its currency; at 0 nobody pays.
    """

    port: Port = 8085
    lanes: ServedLanes = EVERY_LANE
    window_urgent: Annotated[int, Field(ge=1, le=10_000)] = 500
    window_bulk: Annotated[int, Field(ge=1, le=10_000)] = 1000
    window_total: Annotated[int, Field(ge=2, le=100_000)] = 5000
    concurrency_urgent: Concurrency = 16
    concurrency_bulk: Concurrency = 8
    lease: Annotated[timedelta, Field(ge=SHORTEST_LEASE, le=timedelta(hours=1))] = LEASE
    price: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0


class CarrierSettings(DispatcherSettings):
    """Of a channel with carriers: one account, or a file that names as many routes as there are. `sender` is what a
    phone shows where neither the message nor its route says it."""

    PROVIDERS: ClassVar[Mapping[str, Callable[[Account], Provider]]]

    receipt_secret: Secret
    public_url: HttpUrl
    provider: str
    carrier_url: HttpUrl | None = None
    carrier_key: SecretStr | None = None
    sender: Sender = "Carillon"
    routes: Path | None = None

    @model_validator(mode="after")
    def the_routes_are_clear(self) -> Self:
        """Refuse a provider nobody wrote, no account or two of them, and a file that cannot be used."""
        if self.provider not in self.PROVIDERS:
            raise ValueError(f"provider is one of {', '.join(self.PROVIDERS)}")
        if (self.carrier_url is None) != (self.carrier_key is None):
            raise ValueError("carrier_url and carrier_key go together")
        if (self.carrier_url is None) == (self.routes is None):
            raise ValueError("either carrier_url and carrier_key or routes is needed")
        self.declared()
        return self

    def declared(self) -> Sequence[RouteSettings]:
        """The routes, at least one. Raises ValueError when the file that names them cannot be used."""
        if self.routes is not None:
            return routes_in(self.routes, self.PROVIDERS)
        return [
            RouteSettings(name=self.provider, provider=self.provider, url=self.carrier_url or "", key=self.carrier_key)
        ]

    def account(self, route: RouteSettings) -> Account:
        """With the carrier of a route, as its provider needs it."""
        secret = self.receipt_secret.get_secret_value()
        callback = f"{self.public_url.rstrip('/')}/receipts/{route.name}/{secret}"
        return Account(route.url, route.key or SecretStr(""), route.sender or self.sender, SecretStr(callback))
