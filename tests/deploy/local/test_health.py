"""What a service that is not ready says reaches the person who waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from deploy.local import health, ports


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b'{"status": "not ready", "failing": {"postgres": "refused", "bus": "no partitions"}}',
                     "postgres: refused; bus: no partitions", id="failing checks"),
        pytest.param(b'{"detail": "starting"}', "starting", id="a problem"),
        pytest.param(b"Bad gateway", "Bad gateway", id="no JSON"),
        pytest.param(b"[]", "[]", id="no object"),
        pytest.param(b"", "", id="nothing"),
    ],
)  # fmt: skip
def test_reason(body: bytes, expected: str) -> None:
    assert health.reason(body) == expected


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            await hold.wait()
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer or b"")
        writer.close()

    hold = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        hold.set()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n{}", None),
        (b'HTTP/1.1 503 Busy\r\n\r\n{"failing": {"kafka": "away"}}', "kafka: away"),
        (b"HTTP/1.1 500 Oops\r\n\r\n", "it answers 500"),
        (b"", "nothing listens on its port yet"),
    ],
)
async def test_asked(answer: bytes, expected: str | None) -> None:
    async with answering(answer) as port:
        assert await health.not_ready_because(port) == expected


async def test_one_that_never_answers() -> None:
    async with answering(None) as port:
        assert await health.not_ready_because(port, within=0.05) == "no answer within 0.05 s"


async def test_one_that_is_not_there() -> None:
    assert await health.not_ready_because(ports.any_free()) == "nothing listens on its port yet"
