"""The settings of the audience service."""

from typing import Annotated, ClassVar

from pydantic import Field, SecretStr

from libs.contracts.routing import Lane
from libs.settings import Settings


class AudienceSettings(Settings):
    """`database` is a Postgres DSN whose role owns the schema audience. `lanes` are those this process serves."""

    PREFIX: ClassVar[str] = "AUDIENCE_"

    database: SecretStr
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8083
    instance: Annotated[str, Field(min_length=1, max_length=64)] = "1"
    lanes: Annotated[tuple[Lane, ...], Field(min_length=1)] = (Lane.URGENT, Lane.BULK)
