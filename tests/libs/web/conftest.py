"""A listening application for tests, and raw requests to it: a client library would tidy up what we want to send."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from libs.web import Server


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Listening:
    def __init__(self, port: int) -> None:
        self.port = port
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        return reader, writer

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def ask(
        self,
        method: str = "GET",
        target: str = "/",
        *,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        named = {"Host": "x", "Connection": "close", **(headers or {})}
        if body is not None:
            named.setdefault("Content-Length", str(len(body)))
        head = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
        return await self.send("\r\n".join(head).encode() + b"\r\n\r\n" + (body or b""))

    async def send(self, request: bytes) -> Answer:
        """Send bytes and read the answer; the sending side stays open."""
        reader, writer = await self.connect()
        try:
            writer.write(request)
            return await read_answer(reader)
        finally:
            writer.close()


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    async with asyncio.timeout(10):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(first.split()[1]), headers, body)


Listen = Callable[[web.Application], Awaitable[Listening]]


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    async with AsyncExitStack() as stack:

        async def start(app: web.Application) -> Listening:
            server = Server(app, "127.0.0.1", 0)
            await server.start()
            stack.push_async_callback(server.stop)
            listening = Listening(server.port)
            stack.push_async_callback(listening.close)
            return listening

        yield start
