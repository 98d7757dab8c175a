"""What the scheduler can be told."""

from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field, SecretStr

from libs.settings import Settings


class SchedulerSettings(Settings):
    """The scheduler's own settings."""

    PREFIX: ClassVar[str] = "SCHEDULER_"

    database: SecretStr
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8082
    instance: Annotated[str, Field(min_length=1, max_length=64)] = "1"
    longest_pause: Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(seconds=60))] = timedelta(seconds=1)
    lease: Annotated[timedelta, Field(gt=timedelta(seconds=10))] = timedelta(seconds=15)
    release_batch: Annotated[int, Field(ge=1, le=1000)] = 200
