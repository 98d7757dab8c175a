"""The settings of the tracker."""

from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field, SecretStr

from libs.settings import Settings


class TrackerSettings(Settings):
    """`database` is a Postgres DSN whose role owns the schema tracker."""

    PREFIX: ClassVar[str] = "TRACKER_"

    database: SecretStr
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8084
    instance: Annotated[str, Field(min_length=1, max_length=64)] = "1"
    pool_size: Annotated[int, Field(ge=1, le=50)] = 6
    sweep_pause: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(seconds=1)
