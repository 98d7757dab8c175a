"""What every dispatcher has to be told, whatever its channel."""

from typing import Annotated

from pydantic import BaseModel, Field, SecretStr

from libs.contracts.routing import Lane

Secret = Annotated[SecretStr, Field(min_length=16)]
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^/\s?#@]+(/[^\s?#]*)?$")]


class DispatcherSettings(BaseModel):
    """Mixed into the settings of each channel.

    `window_*` is how many deliveries of one tenant a process may hold claimed in a lane, `window_total` over all: what
    is claimed and not recorded may be sent twice after a crash, so these are the bound on duplicates. `concurrency_*`
    is how many requests are in flight to the carrier.
    """

    database: SecretStr
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8085
    instance: Annotated[str, Field(min_length=1, max_length=64)] = "1"
    lanes: Annotated[tuple[Lane, ...], Field(min_length=1)] = (Lane.URGENT, Lane.BULK)
    window_urgent: Annotated[int, Field(ge=1, le=10_000)] = 500
    window_bulk: Annotated[int, Field(ge=1, le=10_000)] = 1000
    window_total: Annotated[int, Field(ge=2, le=100_000)] = 5000
    concurrency_urgent: Annotated[int, Field(ge=1, le=1000)] = 16
    concurrency_bulk: Annotated[int, Field(ge=1, le=1000)] = 8
    receipt_secret: Secret
    public_url: HttpUrl
