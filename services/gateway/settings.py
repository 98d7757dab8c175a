"""What the gateway has to be told."""

from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field, SecretStr

from libs.settings import Settings


class GatewaySettings(Settings):
    """`pepper` is mixed into every stored token's hash: all replicas share it, and a new one makes every token
    unknown."""

    PREFIX: ClassVar[str] = "GATEWAY_"

    database: SecretStr
    pepper: Annotated[SecretStr, Field(min_length=16)]
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    instance: str = "1"
    credential_cache: Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(seconds=30))] = timedelta(seconds=25)
    pool_size: Annotated[int, Field(ge=1, le=20)] = 4
