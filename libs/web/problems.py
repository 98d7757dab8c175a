"""Problems as aiohttp answers: RFC 9457."""

from http import HTTPStatus

from aiohttp import web

from libs.wire import JsonValue, Problem, json_bytes

PROBLEM_CONTENT_TYPE = "application/problem+json"


def problem_response(problem: Problem) -> web.Response:
    """`problem` as application/problem+json."""
    document: dict[str, JsonValue] = {
        "type": f"urn:carillon:problem:{problem.code}",
        "title": _title(problem.status),
        "status": problem.status,
        "detail": problem.detail,
        **problem.extra,
    }
    return web.Response(
        status=problem.status,
        body=json_bytes(document),
        content_type=PROBLEM_CONTENT_TYPE,
        headers=problem.headers,
    )


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
