"""A gateway over doubles, reached over real HTTP."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.services.gateway.doubles import Platform

Client = TestClient[web.Request, web.Application]


@pytest.fixture
def behind() -> Platform:
    return Platform()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[web.Application], Awaitable[Client]]]:
    clients: list[Client] = []

    async def connect(app: web.Application) -> Client:
        client = TestClient(TestServer(app))
        await client.start_server()
        clients.append(client)
        return client

    yield connect
    for client in clients:
        await client.close()


@pytest.fixture
async def gateway(behind: Platform, connect: Any) -> Client:
    client: Client = await connect(behind.app())
    return client
