"""Storage: the only package that opens Postgres. A pool with timeouts, the migration runner, dead letters."""

from libs.storage.database import Connection, Database
from libs.storage.dead_letters import DeadLetters, Store
from libs.storage.migrations import MigrationError, migrate

__all__ = ["Connection", "Database", "DeadLetters", "MigrationError", "Store", "migrate"]
