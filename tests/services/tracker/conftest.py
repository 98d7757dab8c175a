"""A database of the tracker."""

from collections.abc import AsyncIterator
from importlib.resources import files

import pytest

from libs.storage import Database, migrate
from services.tracker.handlers import TrackerHandlers
from services.tracker.repository import QueryRepository
from tests.services.tracker.making import Post


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[Database]:
    """The tracker's database, migrated and empty."""
    database = await Database.connect(postgres, service="tracker-test", max_size=8)
    await migrate(database, schema="tracker", folder=files("services.tracker") / "migrations")
    yield database
    await database.close()


@pytest.fixture
def handlers() -> TrackerHandlers:
    """The handlers over the real repositories."""
    return TrackerHandlers()


@pytest.fixture
def books(database: Database) -> QueryRepository:
    """What the tracker can be asked."""
    return QueryRepository(database)


@pytest.fixture
def post(database: Database) -> Post:
    """What waits to be published."""
    return Post(database)
