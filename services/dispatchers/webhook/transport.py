"""Calls to addresses that strangers chose: the guard stands where the socket is made, behind every resolver."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from libs.outbound_urls import OutboundUrl, is_loopback, is_public
from libs.wire import HttpRequest, HttpResponse
from services.dispatchers.http import CONNECT_TIMEOUT, MAX_ANSWER, REQUEST_TIMEOUT, NoAnswer, NotConnected
from services.dispatchers.webhook.resolving import ThreadPerLookup

# The status says it all: the rest of an answer is read only so that the connection can be used again.
DRAIN_WITHIN = 1.0  # seconds

Allowed = Callable[[IPv4Address | IPv6Address], bool]


class ForbiddenAddress(OSError):  # noqa: N818 - what is wrong is the address
    """The name leads to an address that is not for us to call. Without details: they would tell of our network."""

    def __init__(self) -> None:
        super().__init__("the address is not a public one")


def guard(allowed: Allowed) -> Callable[[tuple[Any, ...]], socket.socket]:
    """Makes the socket for an address as the resolver gave it, unless the address is not `allowed`.

    No check before this one protects: a name may resolve to something else a moment later, and what is written as a
    number never meets the resolver.
    """

    def make_socket(found: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, address = found
        if family not in (socket.AF_INET, socket.AF_INET6) or not allowed(_address(address[0])):
            raise ForbiddenAddress
        return socket.socket(family, kind, protocol)

    return make_socket


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        raise ForbiddenAddress from None


class GuardedTransport:
    """Two ways out: to the public internet and nowhere else, and, where that was allowed, to this machine and nowhere
    else. So a public name that resolves to this machine stays forbidden even in development."""

    def __init__(self, *, connections: int, allow_loopback: bool) -> None:
        self._public = _session(connections, is_public)
        self._loopback = _session(connections, is_loopback) if allow_loopback else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in (self._public, self._loopback):
            if session is not None:
                await session.close()

    async def call(self, target: OutboundUrl, request: HttpRequest) -> HttpResponse:
        """The head of one answer; redirects are not followed. Raises ForbiddenAddress, NotConnected or NoAnswer."""
        session = self._loopback if target.is_loopback else self._public
        if session is None:
            raise ForbiddenAddress
        try:
            async with session.request(
                request.method,
                URL(target.url, encoded=True),
                data=request.body,
                headers=request.headers,
                allow_redirects=False,
            ) as response:
                await _drain(response)
                return HttpResponse(response.status, {name.lower(): value for name, value in response.headers.items()})
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, ForbiddenAddress):
                raise error.os_error from None
            raise NotConnected(type(error).__name__) from error
        except (aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL, ssl.SSLError) as error:
            raise NotConnected(type(error).__name__) from error
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise NoAnswer(type(error).__name__) from error


async def _drain(response: aiohttp.ClientResponse) -> None:
    size = 0
    with suppress(aiohttp.ClientError, TimeoutError, OSError, ValueError):
        async with asyncio.timeout(DRAIN_WITHIN):
            async for piece in response.content.iter_any():
                size += len(piece)
                if size > MAX_ANSWER:
                    break
            else:
                return
    response.close()


def _session(connections: int, allowed: Allowed) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=connections,
            keepalive_timeout=10,
            resolver=ThreadPerLookup(),
            use_dns_cache=False,
            socket_factory=guard(allowed),
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT, sock_connect=CONNECT_TIMEOUT),
        trust_env=False,
        auto_decompress=False,
        skip_auto_headers=("Accept-Encoding", "User-Agent"),
    )
