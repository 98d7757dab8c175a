"""What the scheduler can be told."""

from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field

from libs.settings import Port, ServiceSettings


class SchedulerSettings(ServiceSettings):
    """The scheduler's own settings."""

    PREFIX: ClassVar[str] = "SCHEDULER_"

    port: Port = 8082
    longest_pause: Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(seconds=60))] = timedelta(seconds=1)
    lease: Annotated[timedelta, Field(gt=timedelta(seconds=10))] = timedelta(seconds=15)
    release_batch: Annotated[int, Field(ge=1, le=5000)] = 500
    misfire_grace: Annotated[timedelta, Field(ge=timedelta(seconds=1), le=timedelta(days=7))] = timedelta(hours=1)
