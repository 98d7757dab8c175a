import asyncio
import gzip
import logging

import pytest
from aiohttp import web
from prometheus_client import REGISTRY

from libs.contracts.failures import Unavailable
from libs.telemetry import tracing
from libs.web import application, problem_response, read_body
from libs.wire import Problem


async def _raise_problem(request: web.Request) -> web.Response:
    raise Problem(402, "no_funds", "The balance is used up.", headers={"X-A": "b"}, extra={"balance": 0})


async def _raise_unavailable(request: web.Request) -> web.Response:
    raise Unavailable("postgres: away")


async def _fail(request: web.Request) -> web.Response:
    raise KeyError("+48600100200")


async def _echo(request: web.Request) -> web.Response:
    return web.Response(body=await read_body(request, limit=1000))


def _app(**options: object) -> web.Application:
    app = application(**options)  # type: ignore[arg-type]
    app.router.add_post("/echo", _echo)
    app.router.add_get("/fail", _fail)
    app.router.add_get("/problem", _raise_problem)
    app.router.add_get("/away", _raise_unavailable)
    app.router.add_get("/things/{secret}", _fail)
    return app


async def test_a_problem_is_a_document(listen) -> None:
    answer = await (await listen(_app())).ask("GET", "/problem")
    assert answer.status == 402
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-a"] == "b"
    assert answer.headers["server"] == "carillon"
    assert answer.json == {
        "type": "urn:carillon:problem:no_funds",
        "title": "Payment Required",
        "status": 402,
        "detail": "The balance is used up.",
        "balance": 0,
    }


@pytest.mark.parametrize(
    ("method", "target", "status", "code", "header"),
    [
        ("GET", "/away", 503, "unavailable", ("retry-after", "1")),
        ("GET", "/fail", 500, "internal_error", None),
        ("GET", "/nowhere", 404, "not_found", None),
        ("DELETE", "/echo", 405, "method_not_allowed", ("allow", "POST")),
        ("PROPFIND", "/echo", 405, "method_not_allowed", None),
        ("GET", "/things/%00", 400, "invalid_request", None),
        ("GET", "/away?x=a%00b", 400, "invalid_request", None),
    ],
)
async def test_what_else_goes_wrong(listen, method, target, status, code, header) -> None:
    answer = await (await listen(_app())).ask(method, target)
    assert (answer.status, answer.json["type"]) == (status, f"urn:carillon:problem:{code}")
    if header:
        assert answer.headers[header[0]] == header[1]


async def test_an_error_in_the_form_of_an_api(listen) -> None:
    def render(request: web.Request, problem: Problem) -> web.Response:
        return web.json_response({"success": False, "status": problem.status}, status=problem.status)

    listening = await listen(_app(render=render))
    assert (await listening.ask("GET", "/nowhere")).json == {"success": False, "status": 404}
    assert (await listening.ask("GET", "/fail")).json == {"success": False, "status": 500}


async def test_a_renderer_that_fails_is_still_an_answer(listen) -> None:
    def render(request: web.Request, problem: Problem) -> web.Response:
        raise ZeroDivisionError

    assert (await (await listen(_app(render=render))).ask("GET", "/nowhere")).status == 500


async def test_a_failure_is_logged_without_the_path(listen, caplog: pytest.LogCaptureFixture) -> None:
    await (await listen(_app())).ask("GET", "/things/tOpSeCrEt")
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.__dict__["route"] == "/things/{secret}"
    assert "tOpSeCrEt" not in str(record.__dict__)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "identity, gzip", "nonsense"])
async def test_encoded_bodies_are_refused(listen, encoding: str) -> None:
    body = gzip.compress(b"x" * 100)
    answer = await (await listen(_app())).ask("POST", "/echo", headers={"Content-Encoding": encoding}, body=body)
    assert (answer.status, answer.json["type"]) == (415, "urn:carillon:problem:unsupported_content_encoding")


async def test_identity_is_no_encoding(listen) -> None:
    answer = await (await listen(_app())).ask("POST", "/echo", headers={"Content-Encoding": "identity"}, body=b"x")
    assert (answer.status, answer.body) == (200, b"x")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /fail HTTP/1.1\r\nHost: x\r\nX-Any: \xff\xfe\r\n\r\n",
        b"GET /things/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /away?q=\xed\xa0\x80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /fail HTTP/1.1\r\nHost: x\r\nX-Any: a\x00b\r\n\r\n",
        b"GET /fail HTTP/1.1\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nab",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nab",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /away?%ED%A0%80=%FF HTTP/1.1\r\nHost: [[[\r\n\r\n",
        b"GET // HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:99999999 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: the-unexpected\r\nContent-Length: 1\r\n\r\na",
    ],
    ids=lambda value: repr(value[:60]),
)
async def test_malformed_requests_are_no_failure_of_ours(
    listen, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await (await listen(_app())).send(request_bytes)
    assert answer.status in range(400, 500) or (answer.status == 503 and b"away" in request_bytes)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_more_than_it_can_work_on_at_once(listen) -> None:
    gate = asyncio.Event()
    entered = asyncio.Semaphore(0)

    async def wait(request: web.Request) -> web.Response:
        entered.release()
        await gate.wait()
        return web.Response()

    app = application(max_concurrent=2)
    app.router.add_get("/wait", wait)
    listening = await listen(app)
    waiting = [asyncio.create_task(listening.ask("GET", "/wait")) for _ in range(2)]
    await entered.acquire()
    await entered.acquire()
    refused = await listening.ask("GET", "/wait")
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert refused.json["type"] == "urn:carillon:problem:overloaded"
    gate.set()
    assert [answer.status for answer in await asyncio.gather(*waiting)] == [200, 200]
    assert (await listening.ask("GET", "/wait")).status == 200


async def test_a_stranger_does_not_choose_the_trace(listen) -> None:
    given = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"

    async def show(request: web.Request) -> web.Response:
        return web.Response(text=tracing.trace_id_of(tracing.current_traceparent()) or "none")

    seen = []
    for honour in (False, True):
        app = application(honour_traceparent=honour)
        app.router.add_get("/", show)
        seen.append((await (await listen(app)).ask("GET", "/", headers={"traceparent": given})).body.decode())
    assert len(seen[0]) == 32
    assert seen[0] != "a" * 32
    assert seen[1] == "a" * 32


async def test_requests_are_counted_by_route_and_not_by_path(listen) -> None:
    def count() -> float:
        labels = {"route": "/things/{secret}", "method": "GET", "status": "500"}
        return REGISTRY.get_sample_value("carillon_http_requests_total", labels) or 0

    before = count()
    await (await listen(_app())).ask("GET", "/things/1")
    assert count() == before + 1


def test_an_unusual_status_has_a_title() -> None:
    assert problem_response(Problem(499, "x", "y")).status == 499


async def test_a_redirect_is_an_answer(listen) -> None:
    async def move(request: web.Request) -> web.Response:
        raise web.HTTPFound("/elsewhere")

    app = application()
    app.router.add_get("/", move)
    assert (await (await listen(app)).ask()).headers["location"] == "/elsewhere"
