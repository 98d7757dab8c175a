"""The guard at the socket: whatever a name resolves to, and whatever an answer says, nobody inside is called."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from libs.outbound_urls import OutboundUrl, is_loopback, is_public, outbound_url
from libs.wire import HttpRequest
from services.dispatchers.http import MAX_ANSWER, NoAnswer, NotConnected
from services.dispatchers.webhook import transport as transport_module
from services.dispatchers.webhook.transport import ForbiddenAddress, GuardedTransport, guard

POST = HttpRequest("POST", headers={"content-type": "application/json"}, body=b"{}")


class Names(AbstractResolver):
    """Every name has the addresses it is given, one list after another: so it can change its mind."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing to close."""


class Receiver:
    """An HTTP server on this machine that remembers who called."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.answer: dict[str, Any] = {"status": 200}
        self.port = 0
        self.connections = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.raw_path, dict(request.headers), await request.read()))
        return web.Response(**self.answer)

    def url(self, path: str = "/hook") -> OutboundUrl:
        return outbound_url(f"http://127.0.0.1:{self.port}{path}", allow_loopback=True)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.port = runner.addresses[0][1]
    yield receiver
    await runner.cleanup()


@pytest.fixture
async def transport() -> AsyncIterator[GuardedTransport]:
    async with GuardedTransport(connections=4, allow_loopback=True) as opened:
        yield opened


def resolve_with(transport: GuardedTransport, names: Names) -> None:
    for session in (transport._public, transport._loopback):
        assert session is not None
        assert isinstance(session.connector, aiohttp.TCPConnector)
        session.connector._resolver = names


def public(port: int) -> OutboundUrl:
    """A name that looks public; http, so that whoever answers would be heard."""
    return OutboundUrl(f"http://evil.example.com:{port}/", f"http://evil.example.com:{port}", is_loopback=False)


INSIDE = ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::1"]
INSIDE += ["0.0.0.0", "::", "fd00:ec2::254", "100.100.100.200", "fe80::1"]


@pytest.mark.parametrize("address", INSIDE)
async def test_a_name_that_leads_inside_is_not_called(
    receiver: Receiver, transport: GuardedTransport, address: str
) -> None:
    resolve_with(transport, Names([address]))
    with pytest.raises(ForbiddenAddress) as refused:
        await transport.call(public(receiver.port), POST)
    assert str(refused.value) == "the address is not a public one"
    assert receiver.requests == []


@pytest.mark.parametrize("address", [address for address in INSIDE if "%" not in address])
async def test_an_address_in_the_url_never_meets_the_resolver(
    receiver: Receiver, transport: GuardedTransport, address: str
) -> None:
    names = Names(["93.184.215.14"])
    resolve_with(transport, names)
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(ForbiddenAddress):
        await transport.call(OutboundUrl(f"http://{host}:{receiver.port}/", "", is_loopback=False), POST)
    assert (names.asked, receiver.requests) == ([], [])


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0"])
async def test_no_number_the_system_understands_leads_inside(
    receiver: Receiver, transport: GuardedTransport, host: str
) -> None:
    """Even if a URL of this kind came through, which outbound_url does not let happen."""
    with pytest.raises((ForbiddenAddress, NotConnected)):
        await transport.call(OutboundUrl(f"http://{host}:{receiver.port}/", "", is_loopback=False), POST)
    assert receiver.requests == []


async def test_a_name_is_resolved_for_every_call_and_may_not_change_its_mind(
    receiver: Receiver, transport: GuardedTransport
) -> None:
    names = Names(["255.255.255.255"], ["127.0.0.1"])
    resolve_with(transport, names)
    for _ in range(2):
        with pytest.raises(ForbiddenAddress):
            await transport.call(public(receiver.port), POST)
    assert len(names.asked) == 2
    assert receiver.requests == []


async def test_of_several_addresses_the_inner_ones_are_left_out(
    receiver: Receiver, transport: GuardedTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_with(transport, Names(["127.0.0.1", "10.0.0.1", "::1"]))
    with pytest.raises(ForbiddenAddress):
        await transport.call(public(receiver.port), POST)
    assert receiver.requests == []


async def test_this_machine_is_reached_only_where_the_url_says_so(
    receiver: Receiver, transport: GuardedTransport
) -> None:
    assert (await transport.call(receiver.url(), POST)).status == 200
    resolve_with(transport, Names(["93.184.215.14"]))
    named = outbound_url(f"http://localhost:{receiver.port}/", allow_loopback=True)
    with pytest.raises(ForbiddenAddress):  # nor does a name for this machine lead out of it
        await transport.call(named, POST)


async def test_without_leave_this_machine_is_not_reached(receiver: Receiver) -> None:
    async with GuardedTransport(connections=4, allow_loopback=False) as transport:
        with pytest.raises(ForbiddenAddress):
            await transport.call(receiver.url(), POST)
    assert receiver.requests == []


async def test_redirects_are_not_followed(receiver: Receiver, transport: GuardedTransport) -> None:
    receiver.answer = {"status": 307, "headers": {"Location": f"http://127.0.0.1:{receiver.port}/inside"}}
    assert (await transport.call(receiver.url(), POST)).status == 307
    assert [path for path, _, _ in receiver.requests] == ["/hook"]


async def test_it_sends_what_it_is_given_and_nothing_of_its_own(
    receiver: Receiver, transport: GuardedTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9/")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9/")
    receiver.answer = {"status": 200, "headers": {"Set-Cookie": "a=b"}}
    for _ in range(2):
        await transport.call(receiver.url("/a%2fb//c?d=%20&e=%D0%BA;f"), POST)
    for path, headers, body in receiver.requests:
        assert (path, body) == ("/a%2fb//c?d=%20&e=%D0%BA;f", b"{}")
        names = {name.lower() for name in headers}
        assert names == {"host", "accept", "content-type", "content-length"}


async def test_an_endless_answer_is_cut_off(receiver: Receiver, transport: GuardedTransport) -> None:
    receiver.answer = {"status": 202, "body": b"x" * (MAX_ANSWER * 20)}
    assert (await transport.call(receiver.url(), POST)).status == 202
    receiver.answer = {"status": 200, "body": b"short"}
    assert (await transport.call(receiver.url(), POST)).status == 200


async def raw_server(answer: bytes) -> asyncio.Server:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if answer:
            await reader.read()
        writer.close()

    return await asyncio.start_server(behave, "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", 200),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nno", 200),
        (b"", None),
        (b"what?\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", None),
    ],
    ids=["half", "gzip", "nothing", "nonsense", "long header"],
)
async def test_the_status_is_what_counts(
    transport: GuardedTransport, monkeypatch: pytest.MonkeyPatch, answer: bytes, status: int | None
) -> None:
    monkeypatch.setattr(transport_module, "DRAIN_WITHIN", 0.05)
    server = await raw_server(answer)
    target = outbound_url(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", allow_loopback=True)
    try:
        if status is None:
            with pytest.raises(NoAnswer):
                await transport.call(target, POST)
        else:
            assert (await transport.call(target, POST)).status == status
    finally:
        server.close()
        await server.wait_closed()


async def test_nobody_listens(transport: GuardedTransport, unused_tcp_port: int) -> None:
    with pytest.raises(NotConnected):
        await transport.call(outbound_url(f"http://127.0.0.1:{unused_tcp_port}/", allow_loopback=True), POST)


async def test_a_server_without_a_certificate_gets_nothing(receiver: Receiver, transport: GuardedTransport) -> None:
    with pytest.raises(NotConnected):
        await transport.call(outbound_url(f"https://127.0.0.1:{receiver.port}/", allow_loopback=True), POST)
    assert receiver.requests == []


async def test_certificates_are_verified(transport: GuardedTransport) -> None:
    connector = transport._public.connector
    assert isinstance(connector, aiohttp.TCPConnector)
    assert connector._ssl is True
    context = connector._get_ssl_context(SimpleNamespace(is_ssl=lambda: True, ssl=True))  # type: ignore[arg-type]
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_NETLINK])
def test_only_the_internet_has_sockets(family: socket.AddressFamily) -> None:
    with pytest.raises(ForbiddenAddress):
        guard(is_public)((family, socket.SOCK_STREAM, 0, "", ("93.184.215.14", 443)))


@pytest.mark.parametrize("address", ["fe80::1%eth0", "::1%lo", "no address", ""])
def test_an_address_with_a_zone_is_what_it_is_without(address: str) -> None:
    with pytest.raises(ForbiddenAddress):
        guard(is_public)((socket.AF_INET6, socket.SOCK_STREAM, 0, "", (address, 443, 0, 1)))


def test_what_is_allowed_gets_its_socket() -> None:
    for allowed, address in ((is_public, "93.184.215.14"), (is_loopback, "127.0.0.1")):
        made = guard(allowed)((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, 443)))
        assert made.family == socket.AF_INET
        made.close()
