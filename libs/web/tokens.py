"""The shared token of internal HTTP."""

from hmac import compare_digest

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import SecretStr

from libs.web.application import SELF_REPORTS
from libs.wire import Problem


def require_internal_token(token: SecretStr) -> Middleware:
    """A middleware: 401 without `Authorization: Bearer <token>`; /health and /metrics are exempt."""
    expected = token.get_secret_value().encode()
    if not expected:
        raise ValueError("the internal token is empty")

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in SELF_REPORTS:
            return await handler(request)
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not compare_digest(given.strip().encode(errors="replace"), expected):
            headers = {"WWW-Authenticate": "Bearer"}
            raise Problem(401, "unauthorized", "The internal token is missing or wrong.", headers=headers)
        return await handler(request)

    return check
