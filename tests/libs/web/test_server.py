import asyncio
import socket

import pytest
from aiohttp import web

from libs.contracts.failures import Unavailable
from libs.web import Server, application, server


async def test_a_taken_port_is_unavailable_and_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=rf"127\.0\.0\.1:{port}"):
            await Server(application(), "127.0.0.1", port).start()


async def test_stop_lets_requests_finish(listen) -> None:
    entered, gate = asyncio.Event(), asyncio.Event()

    async def wait(request: web.Request) -> web.Response:
        entered.set()
        await gate.wait()
        return web.Response(text="done")

    app = application()
    app.router.add_get("/", wait)
    one = Server(app, "127.0.0.1", 0)
    await one.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await entered.wait()
    stopping = asyncio.create_task(one.stop())
    await asyncio.sleep(0)
    gate.set()
    assert (await reader.readline()).split()[1] == b"200"
    writer.close()
    await writer.wait_closed()
    await stopping
    with pytest.raises(OSError, match=r"."):
        await asyncio.open_connection("127.0.0.1", one.port)


async def test_a_caller_that_leaves_does_not_stop_the_work(listen) -> None:
    entered, gate, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(request: web.Request) -> web.Response:
        entered.set()
        await gate.wait()
        finished.set()
        return web.Response()

    app = application()
    app.router.add_post("/", work)
    listening = await listen(app)
    _, writer = await listening.connect()
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    await entered.wait()
    writer.transport.abort()
    await asyncio.sleep(0.05)
    gate.set()
    await asyncio.wait_for(finished.wait(), 5)


@pytest.mark.parametrize("sent", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_an_idle_or_half_sent_head_is_closed(listen, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(server, "KEEPALIVE_TIMEOUT", 0.1)
    listening = await listen(application())
    reader, writer = await listening.connect()
    writer.write(sent)
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()
