"""The dispatchers' own database."""

from collections.abc import AsyncIterator
from importlib.resources import files

import pytest

from libs.storage import Database, migrate


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[Database]:
    opened = await Database.connect(postgres, service="dispatch-tests", max_size=10)
    await migrate(opened, schema="dispatch", folder=files("services.dispatchers") / "migrations")
    yield opened
    await opened.close()
