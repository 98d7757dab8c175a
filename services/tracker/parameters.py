"""What the internal routes have in common."""

from typing import NoReturn
from uuid import UUID

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from libs.contracts.envelope import TenantId
from libs.wire import JSON_CONTENT_TYPE, JsonValue, Problem, json_bytes
from services.tracker.answers import parse_id

_TENANT: TypeAdapter[str] = TypeAdapter(TenantId)


def answer(body: JsonValue) -> web.Response:
    """200 with a JSON body."""
    return web.Response(body=json_bytes(body), headers={"Content-Type": JSON_CONTENT_TYPE})


def unknown() -> NoReturn:
    """Raises Problem 404, the same for what does not exist and for what is another tenant's."""
    raise Problem(404, "not_found", "There is nothing with this id.")


def refuse(name: str, expected: str) -> NoReturn:
    """Raises Problem 400 for a parameter."""
    raise Problem(400, "invalid_parameter", f"{name} must be {expected}.", extra={"parameter": name})


def path_id(request: web.Request) -> UUID:
    """The id in the path. Raises Problem 404 for what is none."""
    return parse_id(request.match_info["id"]) or unknown()


def tenant_of(request: web.Request) -> str:
    """The tenant that asks. Raises Problem 400."""
    try:
        return _TENANT.validate_python(request.query.get("tenant"))
    except ValidationError:
        refuse("tenant", "the tenant's id")
