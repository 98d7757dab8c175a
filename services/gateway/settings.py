"""What the gateway has to be told."""

from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field, SecretStr

from libs.settings import Port, ServiceSettings


class GatewaySettings(ServiceSettings):
    """`pepper` is mixed into every stored token's hash: all replicas share it, and a new one makes every token
    unknown."""

    PREFIX: ClassVar[str] = "GATEWAY_"

    pepper: Annotated[SecretStr, Field(min_length=16)]
    port: Port = 8080
    credential_cache: Annotated[timedelta, Field(ge=timedelta(0), le=timedelta(seconds=30))] = timedelta(seconds=25)
    pool_size: Annotated[int, Field(ge=1, le=20)] = 4
