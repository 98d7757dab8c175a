"""All the SQL of the tracker. Locks are taken in one order everywhere, so that nobody waits in a circle: events
(folded), orphans and timers (never waited for), blocks, notifications, callbacks, and within each table by key."""

from services.tracker.repository.blocks import BlockRepository
from services.tracker.repository.callbacks import CallbackRepository, Listener
from services.tracker.repository.control import Controlled, ControlRepository, Held
from services.tracker.repository.history import HistoryRepository
from services.tracker.repository.notifications import Asking, NotificationRepository
from services.tracker.repository.orphans import OrphanRepository
from services.tracker.repository.outbox import Letter, OutboxRepository
from services.tracker.repository.queries import QueryRepository, read_progress
from services.tracker.repository.recipients import read_recipients
from services.tracker.repository.timers import Due, TimerRepository

__all__ = [
    "Asking",
    "BlockRepository",
    "CallbackRepository",
    "ControlRepository",
    "Controlled",
    "Due",
    "Held",
    "HistoryRepository",
    "Letter",
    "Listener",
    "NotificationRepository",
    "OrphanRepository",
    "OutboxRepository",
    "QueryRepository",
    "TimerRepository",
    "read_progress",
    "read_recipients",
]
