"""Storage: the only package that opens Postgres. A pool with timeouts, the migration runner, dead letters."""

from libs.storage.buried import BuriedLetters, Counted, Found, Selection
from libs.storage.database import Connection, Database
from libs.storage.dead_letters import DeadLetters, Store
from libs.storage.migrations import MigrationError, migrate

__all__ = [
    "BuriedLetters",
    "Connection",
    "Counted",
    "Database",
    "DeadLetters",
    "Found",
    "MigrationError",
    "Selection",
    "Store",
    "migrate",
]
