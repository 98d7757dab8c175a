import asyncio

import pytest
from aiohttp import web

from libs.web import application, bodies, read_body, require_json_content_type
from libs.web.admission import Admission
from libs.wire import Problem

LIMIT = 100_000


def _app(**options: int) -> web.Application:
    async def length(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await read_body(request, limit=LIMIT))))

    async def needs_length(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await read_body(request, limit=LIMIT, require_length=True))))

    async def json_only(request: web.Request) -> web.Response:
        require_json_content_type(request)
        return web.Response()

    app = application(**options)
    app.router.add_post("/", length)
    app.router.add_post("/needs-length", needs_length)
    app.router.add_post("/json", json_only)
    return app


CHUNKED = b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_body_is_read_whole(listen) -> None:
    listening = await listen(_app())
    assert (await listening.ask("POST", body=b"x" * LIMIT)).body == str(LIMIT).encode()
    assert (await listening.ask("POST", body=b"")).body == b"0"
    assert (await listening.ask("POST")).body == b"0"
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    assert (await listening.send(chunked)).body == b"5"


async def test_a_declared_length_beyond_the_limit_is_refused_at_once(listen) -> None:
    answer = await (await listen(_app())).ask("POST", headers={"Content-Length": "99999999999"})
    assert (answer.status, answer.json["type"]) == (413, "urn:carillon:problem:too_large")
    assert answer.headers["connection"] == "close"


async def test_a_chunked_body_beyond_the_limit_is_refused(listen) -> None:
    body = b"%x\r\n" % (LIMIT + 1) + b"x" * (LIMIT + 1) + b"\r\n0\r\n\r\n"
    answer = await (await listen(_app())).send(CHUNKED % b"/" + body)
    assert answer.status == 413


async def test_a_length_can_be_required(listen) -> None:
    listening = await listen(_app())
    answer = await listening.send(CHUNKED % b"/needs-length" + b"0\r\n\r\n")
    assert (answer.status, answer.json["type"]) == (411, "urn:carillon:problem:length_required")
    assert (await listening.ask("POST", "/needs-length", body=b"abc")).body == b"3"


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 10", b"Transfer-Encoding: chunked"],
)
async def test_a_stalled_body_is_given_up(listen, monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    monkeypatch.setattr(bodies, "PATIENCE", 0.05)
    answer = await (await listen(_app())).send(b"POST / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
    assert (answer.status, answer.json["type"]) == (408, "urn:carillon:problem:body_too_slow")
    assert answer.headers["connection"] == "close"


async def test_a_malformed_chunk_is_the_callers_fault(listen) -> None:
    listening = await listen(_app())
    reader, writer = await listening.connect()
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await writer.drain()
    writer.write(b"nonsense\r\n")
    assert (await reader.readline()).split()[1] == b"400"
    writer.close()


async def test_a_caller_that_leaves_is_no_failure(listen, caplog: pytest.LogCaptureFixture) -> None:
    listening = await listen(_app())
    _, writer = await listening.connect()
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    await writer.drain()
    writer.transport.abort()
    assert (await listening.ask("POST", body=b"x")).status == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_stalled_bodies_keep_nobody_out(listen) -> None:
    listening = await listen(_app(max_concurrent=2))
    stalled = [await listening.connect() for _ in range(8)]
    for _, writer in stalled:
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
        await writer.drain()
    assert (await listening.ask("POST", body=b"x")).status == 200
    for reader, writer in stalled:
        writer.write(b"0123456789")
        assert (await reader.readline()).split()[1] == b"200"
        writer.close()


async def test_there_is_an_end_to_stalled_bodies_too(listen) -> None:
    listening = await listen(_app(max_concurrent=1))
    stalled = []
    statuses = set()
    for _ in range(12):  # 8 may wait
        stalled.append(await listening.connect())
        stalled[-1][1].write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
    for reader, writer in stalled[8:]:
        statuses.add((await reader.readline()).split()[1])
        writer.close()
    for _, writer in stalled[:8]:
        writer.close()
    assert statuses == {b"503"}


def test_the_bytes_of_all_bodies_are_bounded() -> None:
    admission = Admission(4, max_body_bytes=10)
    with admission.slot() as one:
        one.hold(6)
        with admission.slot() as other, pytest.raises(Problem, match="503 overloaded"):
            other.hold(6)
        one.hold(4)
    assert (admission.working, admission.body_bytes) == (0, 0)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=UTF-8", 200),
        ("APPLICATION/JSON", 200),
        ("application/cloudevents+json", 200),
        ("application/json; charset=latin-1", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
        ("/", 415),
        (";;;", 415),
    ],
)
async def test_json_content_type(listen, content_type: str, status: int) -> None:
    headers = {"Content-Type": content_type}
    assert (await (await listen(_app())).ask("POST", "/json", headers=headers, body=b"{}")).status == status


async def test_a_body_that_arrives_slowly_and_steadily(listen) -> None:
    listening = await listen(_app())
    reader, writer = await listening.connect()
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
    for letter in b"abcde":
        await asyncio.sleep(0)
        writer.write(bytes([letter]))
        await writer.drain()
    assert (await reader.readline()).split()[1] == b"200"
    writer.close()
