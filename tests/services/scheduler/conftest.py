"""The scheduler's own database, on which two schedulers can stand beside each other."""

from collections.abc import AsyncIterator
from importlib.resources import files

import pytest

from libs.storage import Database, migrate


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[Database]:
    opened = await Database.connect(postgres, service="scheduler-tests", max_size=8)
    await migrate(opened, schema="scheduler", folder=files("services.scheduler") / "migrations")
    yield opened
    await opened.close()
