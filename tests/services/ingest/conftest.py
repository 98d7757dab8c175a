"""Ingest's own database."""

from collections.abc import AsyncIterator
from importlib.resources import files

import pytest

from libs.storage import Database, migrate


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[Database]:
    opened = await Database.connect(postgres, service="ingest-tests")
    await migrate(opened, schema="ingest", folder=files("services.ingest") / "migrations")
    yield opened
    await opened.close()
