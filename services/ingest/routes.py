"""Ingest's internal HTTP: large bodies, kept before the command that names them."""

import asyncio
import hashlib
import re

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from libs.contracts.envelope import TenantId
from libs.storage import Database
from libs.web import read_body
from libs.wire import Problem
from services.ingest.accepting import Blob
from services.ingest.repository import ContentRepository

CONTENT_LIMIT = 64 * 1024 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TENANT: TypeAdapter[str] = TypeAdapter(TenantId)


class ContentRoutes:
    """PUT and GET /content/{tenant}/{sha256}."""

    def __init__(self, database: Database, content: ContentRepository) -> None:
        self._database = database
        self._content = content

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_put("/content/{tenant}/{sha256}", self.put)
        app.router.add_get("/content/{tenant}/{sha256}", self.get)

    async def put(self, request: web.Request) -> web.Response:
        """201 when it is new, 200 when it was kept already; 400 when the hash is another's."""
        tenant, sha256 = _address(request)
        body = await read_body(request, limit=CONTENT_LIMIT)
        if not body:
            raise Problem(400, "empty_content", "there is no body")
        # Off the loop: 64 MiB take a fifth of a second.
        if await asyncio.to_thread(lambda: hashlib.sha256(body).hexdigest()) != sha256:
            raise Problem(400, "hash_mismatch", "the body does not have this sha256")
        async with self._database.transaction() as connection:
            new = await self._content.put(connection, [Blob(tenant, sha256, body)])
        return web.Response(status=201 if new else 200)

    async def get(self, request: web.Request) -> web.Response:
        """The body, or 404."""
        tenant, sha256 = _address(request)
        async with self._database.connection() as connection:
            body = await self._content.get(connection, tenant, sha256)
        if body is None:
            raise Problem(404, "unknown_content", "no such content of this tenant")
        return web.Response(body=body, content_type="application/octet-stream")


def _address(request: web.Request) -> tuple[str, str]:
    sha256 = request.match_info["sha256"]
    try:
        tenant = _TENANT.validate_python(request.match_info["tenant"])
    except ValidationError:
        raise Problem(400, "invalid_tenant", "this is no tenant's name") from None
    if not _SHA256.fullmatch(sha256):
        raise Problem(400, "invalid_hash", "a sha256 is 64 lower-case hex digits")
    return tenant, sha256
