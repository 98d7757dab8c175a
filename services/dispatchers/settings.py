"""What every dispatcher has to be told, whatever its channel."""

from typing import Annotated

from pydantic import Field, SecretStr

from libs.settings import EVERY_LANE, Port, ServedLanes, ServiceSettings

Secret = Annotated[SecretStr, Field(min_length=16)]
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^/\s?#@]+(/[^\s?#]*)?$")]


class DispatcherSettings(ServiceSettings):
    """What the settings of each channel build on.

    `window_*` is how many deliveries of one tenant a process may hold claimed in a lane, `window_total` over all: what
    is claimed and not recorded may be sent twice after a crash, so these are the bound on duplicates. `concurrency_*`
    is how many requests are in flight to the carrier.
    """

    port: Port = 8085
    lanes: ServedLanes = EVERY_LANE
    window_urgent: Annotated[int, Field(ge=1, le=10_000)] = 500
    window_bulk: Annotated[int, Field(ge=1, le=10_000)] = 1000
    window_total: Annotated[int, Field(ge=2, le=100_000)] = 5000
    concurrency_urgent: Annotated[int, Field(ge=1, le=1000)] = 16
    concurrency_bulk: Annotated[int, Field(ge=1, le=1000)] = 8
    receipt_secret: Secret
    public_url: HttpUrl
