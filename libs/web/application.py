"""The application every service starts from: limits, errors in one form, spans and counts per request."""

import logging
import time
from collections.abc import Callable
from http import HTTPMethod, HTTPStatus
from typing import TypeAlias

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from libs.contracts.failures import Unavailable
from libs.telemetry import metrics, tracing
from libs.web.admission import SLOT, Admission
from libs.web.problems import problem_response
from libs.wire import Problem

logger = logging.getLogger(__name__)

Render: TypeAlias = Callable[[web.Request, Problem], web.Response]

MAX_CONCURRENT = 256
SELF_REPORTS = frozenset({"/health/live", "/health/ready", "/metrics"})
_METHODS = frozenset(HTTPMethod)


def application(
    *,
    render: Render | None = None,
    max_concurrent: int = MAX_CONCURRENT,
    honour_traceparent: bool = False,
) -> web.Application:
    """An application whose errors are `render`ed (problem documents unless given).

    A Problem, aiohttp's own 4xx, Unavailable (503 with Retry-After) and whatever else a handler raises (500, logged)
    become `render(request, problem)`. More than `max_concurrent` requests at work: 503. `honour_traceparent` is for
    services that only we call: a stranger does not choose what is traced.
    """
    middlewares = [_observe(honour_traceparent), _answer_problems(render), _admit(Admission(max_concurrent))]
    app = web.Application(middlewares=middlewares)
    app.on_response_prepare.append(_name_server)
    return app


def _observe(honour_traceparent: bool) -> Middleware:
    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in SELF_REPORTS:
            return await handler(request)
        route = _route(request)
        method = request.method if request.method in _METHODS else "other"
        started = time.perf_counter()
        traceparent = request.headers.get("traceparent") if honour_traceparent else None
        metrics.HTTP_IN_PROGRESS.inc()
        try:
            with tracing.span(f"{method} {route}", traceparent=traceparent) as span:
                response = await handler(request)
                span.set_attribute("http.response.status_code", response.status)
        finally:
            metrics.HTTP_IN_PROGRESS.dec()
        metrics.HTTP_SECONDS.labels(route).observe(time.perf_counter() - started)
        metrics.HTTP_REQUESTS.labels(route, method, str(response.status)).inc()
        return response

    return observe


def _answer_problems(render: Render | None) -> Middleware:
    @web.middleware
    async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Exception as error:  # noqa: BLE001 - the last place where a request can still be answered
            problem = _problem(request, error)
        try:
            response = (render or _render)(request, problem)
        except Exception:
            logger.exception("a problem could not be rendered", extra={"route": _route(request)})
            response = problem_response(_failed())
        if problem.status in (408, 413):
            response.force_close()
        return response

    return answer_problems


def _admit(admission: Admission) -> Middleware:
    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in SELF_REPORTS:
            return await handler(request)
        _check_head(request)
        with admission.slot() as slot:
            request[SLOT] = slot
            return await handler(request)

    return admit


def _check_head(request: web.Request) -> None:
    """Refuse what no handler should have to think of."""
    encodings = request.headers.getall("Content-Encoding", ())
    if any(encoding.strip().lower() != "identity" for encoding in encodings):
        raise Problem(415, "unsupported_content_encoding", "Content-Encoding is not supported.")
    if "%00" in request.raw_path or "\0" in request.raw_path:
        raise Problem(400, "invalid_request", "The URL holds a NUL character.")
    # aiohttp turns bytes that are no UTF-8 into lone surrogates, which nothing behind here can store.
    if not all(_is_text(value) for value in (request.raw_path, *request.headers.values())):
        raise Problem(400, "invalid_request", "The head of the request is not UTF-8.")


def _is_text(value: str) -> bool:
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _problem(request: web.Request, error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case web.HTTPException() if error.status < 400:
            raise error
        case web.HTTPException():
            return _from_aiohttp(error)
        case Unavailable():
            logger.warning("unavailable", extra={"route": _route(request), "reason": str(error)})
            return Problem(503, "unavailable", "Not available now; try again.", headers={"Retry-After": "1"})
        case ConnectionError() if request.transport is None or request.transport.is_closing():
            return Problem(400, "gone", "The caller has gone.")  # nobody will read it
        case _:
            logger.error("request failed", exc_info=error, extra={"route": _route(request)})
            return _failed()


def _from_aiohttp(error: web.HTTPException) -> Problem:
    code = HTTPStatus(error.status).phrase.lower().replace(" ", "_").replace("-", "_")
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return Problem(error.status, code, f"{error.reason}.", headers=headers)


def _failed() -> Problem:
    return Problem(500, "internal_error", "Something went wrong on our side.")


def _render(request: web.Request, problem: Problem) -> web.Response:
    return problem_response(problem)


def _route(request: web.Request) -> str:
    """The route's pattern: a path can hold secrets, and callers choose paths."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unmatched"


async def _name_server(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "carillon"
