"""The transport and the provider against a carrier that behaves badly on a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from libs.contracts.outcomes import Accepted, Ambiguous, Misconfigured, Permanent, Throttled, Transient
from services.dispatchers import http
from services.dispatchers.account import Account
from services.dispatchers.http import HttpCarrier, HttpTransport
from services.dispatchers.provider import CallFailed
from services.dispatchers.sms.http_smsc import HttpSmsc
from tests.services.dispatchers.provider_suite import REFERENCES, outbound

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Carry = Callable[..., Awaitable[list[object]]]


async def read_request(reader: asyncio.StreamReader) -> dict[str, object]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length: ")[1].split("\r\n")[0])
    body: dict[str, object] = json.loads(await reader.readexactly(length))
    return body


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    async with HttpTransport(connections=4) as opened:
        yield opened


@pytest.fixture
async def carry(transport: HttpTransport) -> AsyncIterator[Carry]:
    """Sends three messages to a carrier that speaks raw bytes."""
    servers = []

    async def send(behaviour: Behaviour) -> list[object]:
        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await behaviour(reader, writer)
            finally:
                writer.close()

        server = await asyncio.start_server(behave, "127.0.0.1", 0)
        servers.append(server)
        return await submit(transport, server.sockets[0].getsockname()[1])

    yield send
    for server in servers:
        server.close()
        await server.wait_closed()


async def submit(transport: HttpTransport, port: int, count: int = 3) -> list[object]:
    account = Account(f"http://127.0.0.1:{port}", SecretStr("key"), "Salon", SecretStr("http://us.test/receipts"))
    return list(await HttpCarrier(HttpSmsc(account), transport).send(outbound(count)))


def answering(status: str, body: bytes, *headers: str) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return behave


RESULTS = json.dumps(
    {"results": [{"reference": each, "id": each[0], "status": "accepted"} for each in REFERENCES]}
).encode()


async def test_it_is_accepted(carry: Carry) -> None:
    assert await carry(answering("200 OK", RESULTS)) == [Accepted("a"), Accepted("b"), Accepted("c")]


async def test_it_is_accepted_byte_by_byte(carry: Carry) -> None:
    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (
            len(RESULTS),
            RESULTS,
        ):
            writer.write(bytes([byte]))
            await writer.drain()

    assert await carry(dribble) == [Accepted("a"), Accepted("b"), Accepted("c")]


async def test_nobody_listens(transport: HttpTransport, unused_tcp_port: int) -> None:
    assert {type(outcome) for outcome in await submit(transport, unused_tcp_port)} == {Transient}


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.transport.abort()


async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    await reader.read()


async def stop_half_way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(RESULTS) + 10) + RESULTS)


async def talk_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"\x00\x01\x02 what?\r\n\r\n")


async def talk_for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    try:
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
    except ConnectionError:
        return


BAD = [reset, close, hang, stop_half_way, talk_nonsense, talk_for_ever]


@pytest.mark.parametrize("behaviour", BAD, ids=lambda behaviour: behaviour.__name__)
async def test_what_happens_after_the_write_is_ambiguous(
    carry: Carry, behaviour: Behaviour, transport: HttpTransport
) -> None:
    transport._session._timeout = aiohttp.ClientTimeout(total=0.5, sock_connect=0.5)
    assert {type(outcome) for outcome in await carry(behaviour)} == {Ambiguous}


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        ("401 Unauthorized", (), Misconfigured),
        ("429 Too Many Requests", ("Retry-After: 3",), Throttled),
        ("500 Internal Server Error", (), Transient),
        ("302 Found", ("Location: http://127.0.0.1:9/",), Misconfigured),
        ("200 OK", ("Content-Encoding: gzip",), Ambiguous),
    ],
)
async def test_refusals_keep_their_meaning(carry: Carry, status: str, headers: tuple[str, ...], kind: type) -> None:
    assert {type(outcome) for outcome in await carry(answering(status, b"no", *headers))} == {kind}


async def test_one_unreadable_message_does_not_fail_its_neighbours(transport: HttpTransport) -> None:
    requests: list[int] = []

    async def refuse_the_second(request: web.Request) -> web.Response:
        messages = (await request.json())["messages"]
        requests.append(len(messages))
        if any(message["reference"] == REFERENCES[1] for message in messages):
            return web.Response(status=400)
        results = [{"reference": each["reference"], "id": "ok", "status": "accepted"} for each in messages]
        return web.json_response({"results": results})

    app = web.Application()
    app.router.add_post("/smsc/messages", refuse_the_second)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        outcomes = await submit(transport, runner.addresses[0][1])
    finally:
        await runner.cleanup()
    assert outcomes == [Accepted("ok"), Permanent("http 400"), Accepted("ok")]
    assert requests == [3, 1, 2, 1, 1]


def test_the_limits_are_those_of_the_guarantees() -> None:
    assert (http.CONNECT_TIMEOUT, http.REQUEST_TIMEOUT, http.MAX_ANSWER) == (5.0, 15.0, 65536)


@pytest.mark.parametrize(
    ("status", "headers", "is_the_carriers_fault"),
    [
        ("500 Internal Server Error", (), True),
        ("502 Bad Gateway", (), True),
        ("503 Service Unavailable", (), True),
        ("503 Service Unavailable", ("Retry-After: 3",), False),
        ("429 Too Many Requests", (), False),
        ("401 Unauthorized", (), False),
        ("200 OK", (), False),
    ],
)
async def test_a_call_fails_when_the_carrier_is_broken_and_not_when_it_refuses(
    transport: HttpTransport, status: str, headers: tuple[str, ...], is_the_carriers_fault: bool
) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(status, RESULTS, *headers)(reader, writer)
        writer.close()

    server = await asyncio.start_server(behave, "127.0.0.1", 0)
    async with server:
        account = Account(
            f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", SecretStr("key"), "Salon", SecretStr("http://us")
        )
        outcomes = await HttpCarrier(HttpSmsc(account), transport, name="north").send(outbound(3))
    assert isinstance(outcomes, CallFailed) is is_the_carriers_fault


async def test_nobody_who_answers_is_a_failed_call_and_no_answer_to_a_query(
    transport: HttpTransport, unused_tcp_port: int
) -> None:
    account = Account(f"http://127.0.0.1:{unused_tcp_port}", SecretStr("key"), "Salon", SecretStr("http://us"))
    carrier = HttpCarrier(HttpSmsc(account), transport)
    assert isinstance(await carrier.send(outbound(1)), CallFailed)
    assert carrier.can_query
    assert [type(answer) for answer in await carrier.query(REFERENCES)] == [Ambiguous] * 3
