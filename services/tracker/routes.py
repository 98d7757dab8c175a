"""Internal HTTP: what became of a notification, of its deliveries, of one of them."""

from uuid import UUID

from aiohttp import web
from pydantic import SecretStr

from libs.bus import Bus
from libs.contracts.ids import NotificationId
from libs.contracts.states import DeliveryState
from libs.storage import Database
from libs.web import add_health, application, require_internal_token
from services.tracker.answers import delivery_answer, page_answer, parse_cursor, progress_answer
from services.tracker.parameters import answer, path_id, refuse, tenant_of, unknown
from services.tracker.repository import QueryRepository
from services.tracker.resend_routes import ResendRoutes
from services.tracker.resending import Resending

MAX_LIMIT = 1000
DEFAULT_LIMIT = 100


def routes(bus: Bus, database: Database, token: SecretStr, resending: Resending) -> web.Application:
    """The queries, the resend, liveness, readiness and metrics."""
    app = application(honour_traceparent=True)
    app.middlewares.append(require_internal_token(token))
    queries = Queries(QueryRepository(database))
    app.router.add_get("/notifications/{id}", queries.notification)
    app.router.add_get("/notifications/{id}/deliveries", queries.deliveries)
    app.router.add_get("/deliveries/{id}", queries.delivery)
    ResendRoutes(resending).add_to(app)
    add_health(app, {"postgres": database.ping, "bus": bus.check})
    return app


class Queries:
    """Each answers 404 alike for what does not exist and for what is another tenant's."""

    def __init__(self, books: QueryRepository) -> None:
        self._books = books

    async def notification(self, request: web.Request) -> web.Response:
        """How far a notification is."""
        tenant, notification = tenant_of(request), NotificationId(path_id(request))
        progress = await self._books.notification(tenant, notification)
        if progress is None:
            unknown()
        return answer(progress_answer(notification, progress))

    async def deliveries(self, request: web.Request) -> web.Response:
        """A page of its deliveries in the order of their numbers."""
        tenant, notification = tenant_of(request), NotificationId(path_id(request))
        limit, state = _limit(request), _state(request)
        first = _first(request, notification)
        found = await self._books.deliveries(tenant, notification, first=first, state=state, limit=limit + 1)
        if found is None:
            unknown()
        return answer(page_answer(found, limit=limit))

    async def delivery(self, request: web.Request) -> web.Response:
        """One delivery with all that was tried and reported."""
        found = await self._books.delivery(tenant_of(request), path_id(request))
        if found is None:
            unknown()
        return answer(delivery_answer(*found))


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT)) and 1 <= int(text) <= MAX_LIMIT):
        refuse("limit", f"a number from 1 to {MAX_LIMIT}")
    return int(text)


def _state(request: web.Request) -> DeliveryState | None:
    text = request.query.get("state")
    try:
        return None if text is None else DeliveryState(text)
    except ValueError:
        refuse("state", "one of " + ", ".join(DeliveryState))


def _first(request: web.Request, notification: NotificationId) -> UUID:
    text = request.query.get("cursor")
    try:
        return notification if text is None else parse_cursor(text, notification)
    except ValueError:
        refuse("cursor", "the next_cursor of a page of the same list")
