"""The sandbox's settings."""

from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field, SecretStr

from libs.settings import Settings


class SandboxSettings(Settings):
    """`capacity` is how many messages the inbox holds. `honour_keys`: a reference seen before is answered with the same
    id and not delivered again, as good carriers do."""

    PREFIX: ClassVar[str] = "SANDBOX_"

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8025
    carrier_key: SecretStr
    capacity: Annotated[int, Field(ge=1000, le=10_000_000)] = 1_000_000
    report_delay: Annotated[timedelta, Field(ge=timedelta(0))] = timedelta(seconds=0.5)
    honour_keys: bool = True
