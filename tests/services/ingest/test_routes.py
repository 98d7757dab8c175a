"""Large bodies over internal HTTP."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession
from pydantic import SecretStr

from libs.internal_http import ContentStore, InternalClient, InternalSettings
from libs.storage import Database
from libs.web import Server
from services.ingest.app import content_application

pytestmark = pytest.mark.postgres

TOKEN = SecretStr("only-for-tests")
BODY = b"{}\0\xff" * 1000
HASH = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
async def url(database: Database) -> AsyncIterator[str]:
    server = Server(content_application(database, InternalSettings(token=TOKEN)), "127.0.0.1", 0)
    await server.start()
    yield f"http://127.0.0.1:{server.port}"
    await server.stop()


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession(headers={"Authorization": f"Bearer {TOKEN.get_secret_value()}"}) as session:
        yield session


async def test_a_body_is_stored_once_and_comes_back(url: str, http: ClientSession) -> None:
    place = f"{url}/content/demo/{HASH}"
    assert [(await http.put(place, data=BODY)).status for _ in range(2)] == [201, 200]
    answer = await http.get(place)
    assert (answer.status, await answer.read()) == (200, BODY)


async def test_a_body_is_its_tenant_s_alone(url: str, http: ClientSession) -> None:
    assert (await http.put(f"{url}/content/demo/{HASH}", data=BODY)).status == 201
    assert (await http.get(f"{url}/content/other/{HASH}")).status == 404


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        (f"demo/{HASH}", BODY + b"x", "hash_mismatch"),
        (f"demo/{HASH}", b"", "empty_content"),
        (f"Demo/{HASH}", BODY, "invalid_tenant"),
        (f"demo/{HASH.upper()}", BODY, "invalid_hash"),
        ("demo/77", BODY, "invalid_hash"),
    ],
)
async def test_what_does_not_fit_is_refused(url: str, http: ClientSession, path: str, body: bytes, code: str) -> None:
    answer = await http.put(f"{url}/content/{path}", data=body)
    assert (answer.status, (await answer.json(content_type=None))["type"]) == (400, f"urn:carillon:problem:{code}")


async def test_too_much_is_refused_before_it_is_read(url: str) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    length = 64 * 1024 * 1024 + 1
    head = f"PUT /content/demo/{HASH} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n"
    writer.write(f"{head}Authorization: Bearer {TOKEN.get_secret_value()}\r\n\r\n".encode())
    assert b" 413 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_strangers_get_nothing(url: str) -> None:
    async with ClientSession() as stranger:
        assert (await stranger.get(f"{url}/content/demo/{HASH}")).status == 401
        assert (await stranger.put(f"{url}/content/demo/{HASH}", data=BODY)).status == 401


async def test_the_other_services_client_agrees(url: str) -> None:
    async with InternalClient(url, TOKEN) as client:
        assert await ContentStore(client).put("demo", BODY) == HASH
        assert await ContentStore(client).get("demo", HASH) == BODY
        with pytest.raises(LookupError):
            await ContentStore(client).get("other", HASH)
