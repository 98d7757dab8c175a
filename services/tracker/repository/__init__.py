"""All the SQL of the tracker. Locks are taken in one order everywhere, so that nobody waits in a circle: events
(folded), orphans (never waited for), blocks, notifications, and within each table by key."""

from services.tracker.repository.blocks import BlockRepository
from services.tracker.repository.history import HistoryRepository
from services.tracker.repository.notifications import NotificationRepository
from services.tracker.repository.orphans import OrphanRepository
from services.tracker.repository.queries import QueryRepository

__all__ = [
    "BlockRepository",
    "HistoryRepository",
    "NotificationRepository",
    "OrphanRepository",
    "QueryRepository",
]
