import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from aiohttp import web
from pydantic import SecretStr

from libs.contracts.failures import Unavailable
from libs.internal_http import ContentStore, InternalClient
from libs.telemetry import tracing
from libs.web import Server, application, read_body, require_internal_token

TOKEN = SecretStr("s3cret")


class Owner:
    """A service with content, as others see it."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.gets = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.slow = asyncio.Event()

    def application(self) -> web.Application:
        app = application(honour_traceparent=True)
        app.middlewares.append(require_internal_token(TOKEN))
        app.router.add_put("/content/{tenant}/{sha256}", self.put)
        app.router.add_get("/content/{tenant}/{sha256}", self.get)
        app.router.add_get("/answer/{what}", self.answer)
        app.router.add_post("/verdict/{status}", self.verdict)
        return app

    async def put(self, request: web.Request) -> web.Response:
        known = request.path in self.content
        self.content[request.path] = await read_body(request, limit=1_000_000)
        return web.Response(status=200 if known else 201)

    async def get(self, request: web.Request) -> web.Response:
        self.gets += 1
        await self.gate.wait()
        if request.path not in self.content:
            raise web.HTTPNotFound
        return web.Response(body=self.content[request.path])

    async def verdict(self, request: web.Request) -> web.Response:
        status = int(request.match_info["status"])
        seen = {"asked": await request.json(), "tenant": request.query.get("tenant"), "type": request.content_type}
        return web.json_response(seen, status=status)

    async def answer(self, request: web.Request) -> web.Response:
        match request.match_info["what"]:
            case "query":
                return web.json_response(dict(request.query))
            case "trace":
                return web.json_response(tracing.trace_id_of(tracing.current_traceparent()))
            case "missing":
                return web.json_response({"status": 404}, status=404)
            case "text":
                return web.Response(text="nothing")
            case "deep":
                return web.Response(body=b"[" * 200_000)
            case "redirect":
                raise web.HTTPFound("/answer/query")
            case "away":
                raise Unavailable("postgres")
            case "slow":
                await self.slow.wait()
        raise KeyError


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
async def client(owner: Owner) -> AsyncIterator[InternalClient]:
    async with AsyncExitStack() as stack:
        server = Server(owner.application(), "127.0.0.1", 0)
        await server.start()
        stack.push_async_callback(server.stop)
        yield await stack.enter_async_context(InternalClient(f"http://127.0.0.1:{server.port}/", TOKEN))


async def test_status_and_body(client: InternalClient) -> None:
    assert await client.get_json("/answer/query", params={"tenant": "a&b"}) == (200, {"tenant": "a&b"})
    assert await client.get_json("/answer/missing") == (404, {"status": 404})
    assert (await client.get_bytes("/answer/text")) == (200, b"nothing")


@pytest.mark.parametrize("status", [200, 202, 400, 404, 409])
async def test_a_verdict_is_passed_on(client: InternalClient, status: int) -> None:
    asked = {"states": ["failed"], "name": "Ł"}
    answer = await client.post_json(f"/verdict/{status}", asked, params={"tenant": "demo"})
    assert answer == (status, {"asked": asked, "tenant": "demo", "type": "application/json"})


@pytest.mark.parametrize("status", [500, 503, 429, 401, 301])
async def test_what_is_no_verdict_is_unavailable(client: InternalClient, status: int) -> None:
    with pytest.raises(Unavailable):
        await client.post_json(f"/verdict/{status}", {})


async def test_the_trace_goes_along(client: InternalClient) -> None:
    with tracing.span("x"):
        trace_id = tracing.trace_id_of(tracing.current_traceparent())
        assert await client.get_json("/answer/trace") == (200, trace_id)


@pytest.mark.parametrize("what", ["text", "deep", "redirect", "away", "failure"])
async def test_what_is_no_answer_is_unavailable(client: InternalClient, what: str) -> None:
    with pytest.raises(Unavailable):
        await client.get_json(f"/answer/{what}")


async def test_a_slow_answer_is_unavailable(client: InternalClient, owner: Owner) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(Unavailable, match="TimeoutError"):
            await client.get_json("/answer/slow", within=0.05)
    owner.slow.set()


async def test_a_wrong_token_is_unavailable(client: InternalClient) -> None:
    async with InternalClient(client._base_url, SecretStr("wrong")) as stranger:
        with pytest.raises(Unavailable, match="401"):
            await stranger.get_json("/answer/query")


async def test_nobody_there_is_unavailable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with InternalClient(f"http://127.0.0.1:{unused.getsockname()[1]}", TOKEN) as client:
            with pytest.raises(Unavailable):
                await client.put_bytes("/x", b"x")


async def test_content_by_its_hash(client: InternalClient, owner: Owner) -> None:
    store = ContentStore(client)
    sha256 = await store.put("demo", b"a long body")
    assert sha256 == hashlib.sha256(b"a long body").hexdigest()
    assert await store.put("demo", b"a long body") == sha256
    assert [await store.get("demo", sha256) for _ in range(3)] == [b"a long body"] * 3
    assert owner.gets == 1
    with pytest.raises(LookupError):
        await store.get("other", sha256)


async def test_content_that_came_back_different_is_unavailable(client: InternalClient, owner: Owner) -> None:
    store = ContentStore(client)
    sha256 = await store.put("demo", b"a long body")
    owner.content[f"/content/demo/{sha256}"] = b"another body"
    with pytest.raises(Unavailable, match="different"):
        await store.get("demo", sha256)


async def test_one_request_for_all_who_wait(client: InternalClient, owner: Owner) -> None:
    store = ContentStore(client)
    sha256 = await store.put("demo", b"body")
    owner.gate.clear()
    waiting = [asyncio.create_task(store.get("demo", sha256)) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # who gives up does not take it from the others
    owner.gate.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [b"body"] * 4
    assert owner.gets == 1


async def test_the_cache_is_bounded_by_bytes(client: InternalClient, owner: Owner) -> None:
    store = ContentStore(client, cache_bytes=10)
    one, two, three, big = [await store.put("demo", body) for body in (b"1111", b"2222", b"3333", b"4" * 11)]
    for sha256 in (one, two, one, three):  # two was used the longest ago
        await store.get("demo", sha256)
    assert owner.gets == 3
    await store.get("demo", one)
    assert owner.gets == 3
    await store.get("demo", two)
    assert owner.gets == 4
    for _ in range(2):
        await store.get("demo", big)
    assert owner.gets == 6
