"""The settings of the tracker."""

from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field

from libs.settings import Port, ServiceSettings


class TrackerSettings(ServiceSettings):
    """`database` is a Postgres DSN whose role owns the schema tracker."""

    PREFIX: ClassVar[str] = "TRACKER_"

    port: Port = 8084
    pool_size: Annotated[int, Field(ge=1, le=50)] = 8
    sweep_pause: Annotated[timedelta, Field(gt=timedelta(0))] = timedelta(seconds=1)
