"""All the SQL of the audience service."""

from services.audience.repository.contacts import ContactRepository
from services.audience.repository.gates import GateRepository, Parked
from services.audience.repository.plans import NONE_EARLIER, EarlierPages, PageKey, PlanRepository, StoredPage
from services.audience.repository.upkeep import UpkeepRepository

__all__ = [
    "NONE_EARLIER",
    "ContactRepository",
    "EarlierPages",
    "GateRepository",
    "PageKey",
    "Parked",
    "PlanRepository",
    "StoredPage",
    "UpkeepRepository",
]
