"""Queries and commands to the service that owns the data, and big bodies by their hash."""

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from types import TracebackType

import aiohttp
from pydantic import SecretStr

from libs.contracts.failures import Unavailable
from libs.settings import Settings
from libs.telemetry import tracing
from libs.wire import JSON_CONTENT_TYPE, JsonValue, json_bytes

CONNECT_TIMEOUT = 1.0
CONNECTIONS = 32
KEEPALIVE = 10.0  # below the server's 15 s, so that nobody sends into a connection that is being closed
MAX_ANSWER = 64 * 1024 * 1024
CACHE_BYTES = 32 * 1024 * 1024


class InternalSettings(Settings):
    """Where the other services answer, and the token they share."""

    PREFIX = "INTERNAL_"

    token: SecretStr
    ingest_url: str = "http://127.0.0.1:8081"
    tracker_url: str = "http://127.0.0.1:8084"
    dispatcher_url: str = "http://127.0.0.1:8085"


class InternalClient:
    """One service's internal HTTP, over kept connections. Close it, or use it as an async context manager."""

    def __init__(self, base_url: str, token: SecretStr) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token.get_secret_value()}"}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "InternalClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def get_json(
        self, path: str, *, params: Mapping[str, str] | None = None, within: float = 1.0
    ) -> tuple[int, JsonValue]:
        """Status and body; `within` seconds. Raises Unavailable on failure, timeout, 5xx and what is no JSON."""
        status, body = await self._call("GET", path, params=params, within=within)
        try:
            return status, json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Unavailable(f"{self._base_url} answered {status} without JSON") from error

    async def post_json(
        self, path: str, value: JsonValue, *, params: Mapping[str, str] | None = None, within: float = 2.0
    ) -> tuple[int, JsonValue]:
        """Status and body of the owner's verdict; `within` seconds. Raises Unavailable on failure, timeout, 5xx and
        what is no JSON: then it is not known whether it was done."""
        status, body = await self._call("POST", path, params=params, body=json_bytes(value), within=within)
        try:
            return status, json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Unavailable(f"{self._base_url} answered {status} without JSON") from error

    async def get_bytes(self, path: str, *, within: float = 2.0) -> tuple[int, bytes]:
        """Status and body; `within` seconds. Raises Unavailable on failure, timeout and 5xx."""
        return await self._call("GET", path, within=within)

    async def put_bytes(self, path: str, body: bytes, *, within: float = 5.0) -> int:
        """Status; `within` seconds. Raises Unavailable on failure, timeout and 5xx."""
        status, _ = await self._call("PUT", path, body=body, within=within)
        return status

    async def close(self) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        within: float,
    ) -> tuple[int, bytes]:
        headers = {"traceparent": traceparent} if (traceparent := tracing.current_traceparent()) else {}
        if method == "POST":
            headers["Content-Type"] = JSON_CONTENT_TYPE
        try:
            async with (
                asyncio.timeout(within),
                self._open().request(
                    method, self._base_url + path, params=params, data=body, headers=headers, allow_redirects=False
                ) as response,
            ):
                answer = await _read(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"{self._base_url}: {type(error).__name__}") from error
        # Our own services redirect nobody; 401 means the tokens differ, which is ours to mend, not the caller's.
        if response.status >= 500 or response.status in (401, 408, 429) or 300 <= response.status < 400:
            raise Unavailable(f"{self._base_url} answered {response.status}")
        return response.status, answer

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEEPALIVE),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers,
                trust_env=False,
                auto_decompress=False,
            )
        return self._session


class ContentStore:
    """Bodies too big for the bus, stored once with ingest under their hash; what was read lately is kept."""

    def __init__(self, client: InternalClient, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._client = client
        self._cache_bytes = cache_bytes
        self._cached: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._held = 0
        self._in_flight: dict[tuple[str, str], asyncio.Task[bytes]] = {}

    async def put(self, tenant: str, body: bytes, *, within: float = 5.0) -> str:
        """Store `body` and answer its sha256 as 64 hex digits. Raises Unavailable."""
        sha256 = hashlib.sha256(body).hexdigest()
        status = await self._client.put_bytes(_path(tenant, sha256), body, within=within)
        if status not in (200, 201):
            raise Unavailable(f"content was not stored: {status}")
        return sha256

    async def get(self, tenant: str, sha256: str, *, within: float = 5.0) -> bytes:
        """The body. Raises Unavailable, LookupError when it is unknown."""
        key = (tenant, sha256)
        if key in self._cached:
            self._cached.move_to_end(key)
            return self._cached[key]
        task = self._in_flight.get(key)
        if task is None:
            task = asyncio.create_task(self._fetch(key, within))
            self._in_flight[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)  # one waiter who gives up does not take it from the others

    async def _fetch(self, key: tuple[str, str], within: float) -> bytes:
        status, body = await self._client.get_bytes(_path(*key), within=within)
        if status != 200:
            raise LookupError(f"content {key[1]} is unknown ({status})")
        if hashlib.sha256(body).hexdigest() != key[1]:
            raise Unavailable(f"content {key[1]} came back different")
        self._keep(key, body)
        return body

    def _keep(self, key: tuple[str, str], body: bytes) -> None:
        if len(body) > self._cache_bytes:
            return
        self._cached[key] = body
        self._held += len(body)
        while self._held > self._cache_bytes:
            _, dropped = self._cached.popitem(last=False)
            self._held -= len(dropped)

    def _forget(self, key: tuple[str, str], done: "asyncio.Task[bytes]") -> None:
        self._in_flight.pop(key, None)
        if not done.cancelled():
            done.exception()  # seen, also when every waiter has given up


async def _read(response: aiohttp.ClientResponse) -> bytes:
    if (response.content_length or 0) > MAX_ANSWER:
        raise aiohttp.ClientPayloadError("the answer is too large")
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER:
            raise aiohttp.ClientPayloadError("the answer is too large")
    return bytes(body)


def _path(tenant: str, sha256: str) -> str:
    return f"/content/{tenant}/{sha256}"
