"""Whatever a caller sends gets an error in that API's own form, never a 500, and nothing is half accepted."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen
from uuid import uuid4

import aiohttp
import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("platform")]


@pytest.fixture
async def session(platform: Any) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture(scope="module", autouse=True)
def nothing_was_sent(platform: Any) -> Iterator[None]:
    """None of the refused texts may have reached the carrier, however long ago it was refused."""
    yield
    time.sleep(2)
    with urlopen(f"{platform.sandbox}/messages?{urlencode({'contains': MARKER})}") as response:
        assert json.load(response)["total"] == 0


def altegio_url(platform: Any, location: object = None) -> str:
    location = platform.credentials["altegio"]["location_id"] if location is None else location
    return f"{platform.gateway}/api/v1/sms/clients/by_id/{location}"


def altegio_tokens(platform: Any) -> str:
    tokens = platform.credentials["altegio"]
    return f"Bearer {tokens['partner_token']}, User {tokens['user_token']}"


def native_key(platform: Any) -> str:
    return f"Bearer {platform.credentials['native']['api_key']}"


MARKER = f"refused {uuid4().hex}"
NOBODYS = (
    "7c9e6679-7425-40de-944b-e07fc1f90ae7"  # fixed, as every process of a parallel run must collect the same tests
)
TEXT = json.dumps(MARKER)
DEEP = "[" * 20_000 + "]" * 20_000
# name, body of the Altegio call, accepted statuses
ALTEGIO_BODIES: list[tuple[str, bytes, set[int]]] = [
    ("no body", b"", {422}),
    ("not json", b"client_ids=1", {422}),
    ("a list", b"[1]", {422}),
    ("empty ids", f'{{"client_ids":[],"text":{TEXT}}}'.encode(), {422}),
    ("no ids", f'{{"text":{TEXT}}}'.encode(), {422}),
    ("ids null", f'{{"client_ids":null,"text":{TEXT}}}'.encode(), {422}),
    ("ids a string", f'{{"client_ids":"1","text":{TEXT}}}'.encode(), {422}),
    ("id not a number", f'{{"client_ids":["x"],"text":{TEXT}}}'.encode(), {422}),
    ("id a boolean", f'{{"client_ids":[true],"text":{TEXT}}}'.encode(), {422}),
    ("id 2^70", f'{{"client_ids":[{2**70}],"text":{TEXT}}}'.encode(), {422}),
    ("id of 9,000 digits", f'{{"client_ids":[{"9" * 9000}],"text":{TEXT}}}'.encode(), {422}),
    ("one good, one bad id", f'{{"client_ids":[1,"x"],"text":{TEXT}}}'.encode(), {422}),
    ("100,001 ids", json.dumps({"client_ids": list(range(1, 100_002)), "text": MARKER}).encode(), {422}),
    ("no text", b'{"client_ids":[1]}', {422}),
    ("empty text", b'{"client_ids":[1],"text":""}', {422}),
    ("text a number", b'{"client_ids":[1],"text":5}', {422}),
    ("NUL in text", b'{"client_ids":[1],"text":"a\\u0000b"}', {422}),
    ("lone surrogate", b'{"client_ids":[1],"text":"\\ud800"}', {422}),
    ("NaN", f'{{"client_ids":[NaN],"text":{TEXT}}}'.encode(), {422}),
    ("Infinity", f'{{"client_ids":[1],"x":Infinity,"text":{TEXT}}}'.encode(), {422}),
    ("deep", f'{{"client_ids":[1],"text":{TEXT},"x":{DEEP}}}'.encode(), {422}),
    ("duplicate key", f'{{"client_ids":[1],"client_ids":[2],"text":{TEXT}}}'.encode(), {422}),
    ("not UTF-8", b'{"client_ids":[1],"text":"\xff\xfe"}', {422}),
    ("2 MB", json.dumps({"client_ids": [1], "text": MARKER, "x": "y" * 2_000_000}).encode(), {413}),
]


@pytest.mark.parametrize(
    ("body", "statuses"), [row[1:] for row in ALTEGIO_BODIES], ids=[row[0] for row in ALTEGIO_BODIES]
)
async def test_altegio_bodies(session: Any, platform: Any, body: bytes, statuses: set[int]) -> None:
    headers = {"Authorization": altegio_tokens(platform), "Content-Type": "application/json"}
    async with session.post(altegio_url(platform), headers=headers, data=io.BytesIO(body)) as response:
        answer = await response.json()
        assert response.status in statuses, answer
    assert (answer["success"], answer["data"]) == (False, None)
    assert answer["meta"]["message"]


@pytest.mark.parametrize(
    ("name", "status"),
    [("missing", 401), ("swapped", 401), ("no user", 401), ("no partner", 401), ("garbage", 401), ("native key", 401)],
)
async def test_altegio_tokens(session: Any, platform: Any, name: str, status: int) -> None:
    tokens = platform.credentials["altegio"]
    headers = {
        "missing": {},
        "swapped": {"Authorization": f"Bearer {tokens['user_token']}, User {tokens['partner_token']}"},
        "no user": {"Authorization": f"Bearer {tokens['partner_token']}"},
        "no partner": {"Authorization": f"User {tokens['user_token']}"},
        "garbage": {"Authorization": "Bearer \u2028, User ,,,"},
        "native key": {"Authorization": native_key(platform)},
    }[name]
    encoded = {key: value.encode("utf-8").decode("latin-1") for key, value in headers.items()}
    async with session.post(
        altegio_url(platform), headers=encoded, json={"client_ids": [1], "text": MARKER}
    ) as response:
        assert response.status == status
        assert await response.json() == {"success": False, "data": None, "meta": {"message": "Authentication needed."}}


@pytest.mark.parametrize("location", ["999999999", "abc", "0", "-1", str(2**70), "%00", "1%2F2"])
async def test_altegio_unknown_location(session: Any, platform: Any, location: str) -> None:
    headers = {"Authorization": altegio_tokens(platform)}
    url = altegio_url(platform, location)
    async with session.post(url, headers=headers, json={"client_ids": [1], "text": MARKER}) as response:
        assert response.status == 404
        answer = await response.json()
        assert (answer["success"], answer["data"]) == (False, None)


NATIVE_BODIES: list[tuple[str, Any]] = [
    ("no body", b""),
    ("a list", b"[]"),
    ("unknown channel", {"channel": "pigeon", "to": {"client_ids": [1]}, "content": {"text": MARKER}}),
    ("no channel", {"to": {"client_ids": [1]}, "content": {"text": MARKER}}),
    ("nobody", {"channel": "sms", "to": {"client_ids": []}, "content": {"text": MARKER}}),
    ("no to", {"channel": "sms", "content": {"text": MARKER}}),
    (
        "both ways",
        {"channel": "sms", "to": {"client_ids": [1], "addresses": ["+48501234567"]}, "content": {"text": "x"}},
    ),
    ("boolean id", {"channel": "sms", "to": {"client_ids": [True]}, "content": {"text": MARKER}}),
    ("huge id", {"channel": "sms", "to": {"client_ids": [2**70]}, "content": {"text": MARKER}}),
    ("not a phone", {"channel": "sms", "to": {"addresses": ["hello"]}, "content": {"text": MARKER}}),
    ("a number as phone", {"channel": "sms", "to": {"addresses": [48501234567]}, "content": {"text": MARKER}}),
    ("unknown field", {"channel": "sms", "to": {"client_ids": [1]}, "content": {"text": MARKER}, "cancel": 1}),
    ("unknown field inside", {"channel": "sms", "to": {"client_ids": [1]}, "content": {"text": MARKER, "x": 1}}),
    ("empty text", {"channel": "sms", "to": {"client_ids": [1]}, "content": {"text": ""}}),
    ("NUL", {"channel": "sms", "to": {"client_ids": [1]}, "content": {"text": "a\0b"}}),
    ("surrogate", {"channel": "sms", "to": {"client_ids": [1]}, "content": {"text": "\ud800"}}),
    ("too long", {"channel": "sms", "to": {"client_ids": [1]}, "content": {"text": "x" * 5000}}),
    (
        "naive time",
        {"channel": "sms", "to": {"client_ids": [1]}, "content": {"text": "x"}, "at": "2030-01-01T10:00:00"},
    ),
    ("not a time", {"channel": "sms", "to": {"client_ids": [1]}, "content": {"text": MARKER}, "at": "soon"}),
    ("unknown lane", {"channel": "sms", "to": {"client_ids": [1]}, "content": {"text": MARKER}, "lane": "fast"}),
]


@pytest.mark.parametrize("body", [row[1] for row in NATIVE_BODIES], ids=[row[0] for row in NATIVE_BODIES])
async def test_native_bodies(session: Any, platform: Any, body: Any) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": native_key(platform), "Content-Type": "application/json"}
    async with session.post(f"{platform.gateway}/notifications", headers=headers, data=data) as response:
        assert response.status in (400, 422), await response.text()
        assert response.content_type == "application/problem+json"
        problem = await response.json(content_type=None)
    assert problem["status"] == response.status
    assert problem["detail"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "multipart/form-data; boundary=x"])
async def test_a_wrong_content_type(session: Any, platform: Any, content_type: str) -> None:
    headers = {"Authorization": native_key(platform), "Content-Type": content_type}
    async with session.post(f"{platform.gateway}/notifications", headers=headers, data=b"{}") as response:
        assert response.status == 415
        assert response.content_type == "application/problem+json"


async def test_compressed_bodies_are_refused(session: Any, platform: Any) -> None:
    headers = {"Authorization": native_key(platform), "Content-Encoding": "gzip", "Content-Type": "application/json"}
    async with session.post(f"{platform.gateway}/notifications", headers=headers, data=b"\x1f\x8b") as response:
        assert response.status == 415


@pytest.mark.parametrize(
    "path", ["/notifications/x", f"/notifications/{NOBODYS}", f"/deliveries/{NOBODYS}", "/nowhere"]
)
async def test_what_does_not_exist(session: Any, platform: Any, path: str) -> None:
    async with session.get(platform.gateway + path, headers={"Authorization": native_key(platform)}) as response:
        assert response.status == 404
        assert response.content_type == "application/problem+json"


async def test_a_stalled_body_is_given_up(platform: Any) -> None:
    address = urlsplit(platform.gateway)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = f"POST /api/v1/sms/clients/by_id/{platform.credentials['altegio']['location_id']} HTTP/1.1\r\n"
    head += f"Host: x\r\nAuthorization: {altegio_tokens(platform)}\r\nContent-Type: application/json\r\n"
    writer.write((head + "Content-Length: 100\r\n\r\n{").encode())
    answer = await asyncio.wait_for(reader.read(65536), 30)
    writer.close()
    assert b" 408 " in answer.split(b"\r\n")[0]
    assert b'"success":false' in answer.replace(b" ", b"")
