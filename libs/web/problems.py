"""Errors as values that are raised: one exception, rendered as RFC 9457 unless an API has its own form."""

from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from libs.wire import JsonValue, json_bytes

PROBLEM_CONTENT_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818 - named after the document it becomes
    """An answer that is not the one asked for. `code` is a stable slug; `detail` is for the caller to read and
    repeats nothing secret; `extra` are further members of the document."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, JsonValue] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.headers: Mapping[str, str] = headers or {}
        self.extra: Mapping[str, JsonValue] = extra or {}


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
