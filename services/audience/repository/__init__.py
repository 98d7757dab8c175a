"""All the SQL of the audience service."""

from services.audience.repository.contacts import ContactRepository
from services.audience.repository.plans import EarlierPages, PageKey, PlanRepository, StoredPage

__all__ = ["ContactRepository", "EarlierPages", "PageKey", "PlanRepository", "StoredPage"]
