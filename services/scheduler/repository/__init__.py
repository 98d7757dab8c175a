"""All of the scheduler's SQL. The clock is Postgres's."""

from services.scheduler.repository.controls import ControlRepository
from services.scheduler.repository.upkeep import UpkeepRepository
from services.scheduler.repository.waiting import Missed, WaitingRepository

__all__ = ["ControlRepository", "Missed", "UpkeepRepository", "WaitingRepository"]
