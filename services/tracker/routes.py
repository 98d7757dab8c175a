"""Internal HTTP: what became of a notification, of its deliveries, of one of them."""

from typing import NoReturn
from uuid import UUID

from aiohttp import web
from pydantic import SecretStr, TypeAdapter, ValidationError

from libs.bus import Bus
from libs.contracts.envelope import TenantId
from libs.contracts.ids import NotificationId
from libs.contracts.states import DeliveryState
from libs.storage import Database
from libs.web import add_health, application, require_internal_token
from libs.wire import JSON_CONTENT_TYPE, JsonValue, Problem, json_bytes
from services.tracker.answers import delivery_answer, page_answer, parse_cursor, parse_id, progress_answer
from services.tracker.repository import QueryRepository

MAX_LIMIT = 1000
DEFAULT_LIMIT = 100
_TENANT: TypeAdapter[str] = TypeAdapter(TenantId)


def routes(bus: Bus, database: Database, token: SecretStr) -> web.Application:
    """The queries, liveness, readiness and metrics."""
    app = application(honour_traceparent=True)
    app.middlewares.append(require_internal_token(token))
    queries = Queries(QueryRepository(database))
    app.router.add_get("/notifications/{id}", queries.notification)
    app.router.add_get("/notifications/{id}/deliveries", queries.deliveries)
    app.router.add_get("/deliveries/{id}", queries.delivery)
    add_health(app, {"postgres": database.ping, "bus": bus.check})
    return app


class Queries:
    """Each answers 404 alike for what does not exist and for what is another tenant's."""

    def __init__(self, books: QueryRepository) -> None:
        self._books = books

    async def notification(self, request: web.Request) -> web.Response:
        """How far a notification is."""
        tenant, notification = _tenant(request), NotificationId(_id(request))
        progress = await self._books.notification(tenant, notification)
        if progress is None:
            _unknown()
        return _answer(progress_answer(notification, progress))

    async def deliveries(self, request: web.Request) -> web.Response:
        """A page of its deliveries in the order of their numbers."""
        tenant, notification = _tenant(request), NotificationId(_id(request))
        limit, state = _limit(request), _state(request)
        first = _first(request, notification)
        found = await self._books.deliveries(tenant, notification, first=first, state=state, limit=limit + 1)
        if found is None:
            _unknown()
        return _answer(page_answer(found, limit=limit))

    async def delivery(self, request: web.Request) -> web.Response:
        """One delivery with all that was tried and reported."""
        found = await self._books.delivery(_tenant(request), _id(request))
        if found is None:
            _unknown()
        return _answer(delivery_answer(*found))


def _answer(body: JsonValue) -> web.Response:
    return web.Response(body=json_bytes(body), headers={"Content-Type": JSON_CONTENT_TYPE})


def _unknown() -> NoReturn:
    raise Problem(404, "not_found", "There is nothing with this id.")


def _refuse(name: str, expected: str) -> NoReturn:
    raise Problem(400, "invalid_parameter", f"{name} must be {expected}.", extra={"parameter": name})


def _id(request: web.Request) -> UUID:
    return parse_id(request.match_info["id"]) or _unknown()


def _tenant(request: web.Request) -> str:
    try:
        return _TENANT.validate_python(request.query.get("tenant"))
    except ValidationError:
        _refuse("tenant", "the tenant's id")


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT)) and 1 <= int(text) <= MAX_LIMIT):
        _refuse("limit", f"a number from 1 to {MAX_LIMIT}")
    return int(text)


def _state(request: web.Request) -> DeliveryState | None:
    text = request.query.get("state")
    try:
        return None if text is None else DeliveryState(text)
    except ValueError:
        _refuse("state", "one of " + ", ".join(DeliveryState))


def _first(request: web.Request, notification: NotificationId) -> UUID:
    text = request.query.get("cursor")
    try:
        return notification if text is None else parse_cursor(text, notification)
    except ValueError:
        _refuse("cursor", "the next_cursor of a page of the same list")
