"""The transport of every HTTP provider, once: its limits, and what a failed call means."""

import logging
import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import aiohttp

from libs.contracts.outcomes import Ambiguous, Outcome, Permanent, Throttled, Transient
from libs.telemetry import tracing
from libs.wire import HttpRequest, HttpResponse
from services.dispatchers import leases
from services.dispatchers.provider import Answer, Answering, CallFailed, Outbound, Provider

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0  # seconds
REQUEST_TIMEOUT = leases.REQUEST_TIMEOUT
MAX_ANSWER = 64 * 1024


class NotConnected(Exception):  # noqa: N818 - what happened to the call
    """The request was certainly not written."""


class NoAnswer(Exception):  # noqa: N818 - what happened to the call
    """The request was written, wholly or in part, and no complete answer came."""


class HttpTransport:
    """Requests to addresses that the operator configured; an address that a caller may choose needs a guard besides."""

    def __init__(self, *, connections: int) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=10),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT, sock_connect=CONNECT_TIMEOUT),
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers=("Accept-Encoding", "User-Agent"),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def call(self, request: HttpRequest) -> HttpResponse:
        """One answer, at most MAX_ANSWER bytes of it; redirects are not followed. Raises NotConnected or NoAnswer."""
        try:
            async with self._session.request(
                request.method, request.url, data=request.body, headers=request.headers, allow_redirects=False
            ) as response:
                body = await response.content.read(-1) if _is_short(response) else await _read_bounded(response)
                headers = {name.lower(): value for name, value in response.headers.items()}
                return HttpResponse(response.status, headers, body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, ssl.SSLError) as error:
            raise NotConnected(type(error).__name__) from error
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise NotConnected(type(error).__name__) from error
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise NoAnswer(type(error).__name__) from error


def _is_short(response: aiohttp.ClientResponse) -> bool:
    length = response.content_length
    return length is not None and length <= MAX_ANSWER


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    """What has no length is read piece by piece; too much of it is no answer."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > MAX_ANSWER:
            response.close()
            raise ValueError("answer too long")
    return bytes(body)


class HttpCarrier:
    """A provider and its transport. `name` is the route's, the provider's own unless given."""

    def __init__(self, provider: Provider, transport: HttpTransport, *, name: str | None = None) -> None:
        self.name = name or provider.name
        self.batch = provider.batch
        self._provider = provider
        self._transport = transport

    async def send(self, messages: Sequence[Outbound]) -> Sequence[Outcome]:
        """An outcome for each message. A request that is refused as a whole is cut in halves, so that one message the
        carrier cannot read does not fail its neighbours."""
        outcomes = await self._submit(messages)
        if len(messages) == 1 or not _refused_as_a_whole(outcomes):
            return outcomes
        middle = len(messages) // 2
        return [*await self.send(messages[:middle]), *await self.send(messages[middle:])]

    @property
    def can_query(self) -> bool:
        """Whether the provider can be asked about references."""
        return isinstance(self._provider, Answering)

    async def query(self, references: Sequence[str]) -> Sequence[Answer]:
        """What the provider knows of 1 to `batch` references; raises TypeError when it cannot be asked."""
        if not isinstance(self._provider, Answering):
            raise TypeError(f"{self.name} cannot be asked")
        with tracing.span(f"query {self.name}", attributes={"carillon.messages": len(references)}):
            try:
                response = await self._transport.call(self._provider.query(references))
            except (NotConnected, NoAnswer) as error:
                return [Ambiguous(f"no answer to a query: {error}")] * len(references)
            return self._provider.answers(response, references)

    async def _submit(self, messages: Sequence[Outbound]) -> Sequence[Outcome]:
        with tracing.span(f"submit {self.name}", attributes={"carillon.messages": len(messages)}):
            try:
                response = await self._transport.call(self._provider.request(messages))
            except NotConnected as error:
                return CallFailed([Transient(f"not connected: {error}")] * len(messages))
            except NoAnswer as error:
                return CallFailed([Ambiguous(f"no answer: {error}")] * len(messages))
            outcomes = self._provider.outcomes(response, [message.reference for message in messages])
            is_broken = response.status >= 500 and not isinstance(outcomes[0], Throttled)
            return CallFailed(outcomes) if is_broken else outcomes


def _refused_as_a_whole(outcomes: Sequence[Outcome]) -> bool:
    """Whether a provider answered one refusal, the same object, for all."""
    first = outcomes[0]
    return isinstance(first, Permanent) and all(outcome is first for outcome in outcomes)
