"""The scheduler's internal HTTP: verdicts that a caller waits for."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from uuid import UUID, uuid4

from aiohttp import web
from pydantic import SecretStr, ValidationError

from libs.contracts.commands import ControlNotification
from libs.contracts.ids import is_notification_id
from libs.storage import Database
from libs.telemetry import tracing
from libs.web import Check, add_health, application, read_body, require_internal_token, require_json_content_type
from libs.wire import JSON_CONTENT_TYPE, JsonValue, Problem, json_bytes, parse_json
from services.scheduler.control import Place, Standing
from services.scheduler.controlling import Command, Controller

MAX_BODY = 4_096
_GIVEN = ("action", "at", "wall", "zone")


def scheduler_application(controls: "ControlRoutes", token: SecretStr, checks: Mapping[str, Check]) -> web.Application:
    """The verdicts, liveness, readiness and metrics."""
    app = application(honour_traceparent=True)
    app.middlewares.append(require_internal_token(token))
    app.router.add_post("/notifications/{id}/control", controls.control)
    add_health(app, checks)
    return app


class ControlRoutes:
    """POST /notifications/{id}/control?tenant= with {"action", "at"?, "wall"?, "zone"?, "command_id"?}.

    `decided` is called after each verdict: there may be something to release and something to tell.
    """

    def __init__(self, database: Database, controller: Controller, decided: Callable[[], None]) -> None:
        self._database = database
        self._controller = controller
        self._decided = decided

    async def control(self, request: web.Request) -> web.Response:
        """200 with what is in force now; 404 for what was never held here, 409 where the command comes too late. With
        the `command_id` of a call before, its verdict again."""
        command = _command(request, parse_json(await _body(request)))
        async with self._database.transaction() as connection:
            obeyed = await self._controller.obey(connection, [command], announced=False)
            standing, refusal = obeyed.standings[command.key], obeyed.refusals[command.order.event_id]
            if standing.place is Place.UNKNOWN:
                raise Problem(404, "not_found", "There is nothing with this id.")  # and nothing of it is kept
        if refusal is not None:
            raise Problem(409, refusal.name.lower(), refusal, extra={"gate": standing.gate})
        self._decided()
        return web.Response(body=json_bytes(_answer(command, standing)), headers={"Content-Type": JSON_CONTENT_TYPE})


async def _body(request: web.Request) -> bytes:
    require_json_content_type(request)
    return await read_body(request, limit=MAX_BODY)


def _command(request: web.Request, body: JsonValue) -> Command:
    identity = _uuid(request.match_info["id"])
    if identity is None or not is_notification_id(identity):
        raise Problem(404, "not_found", "There is nothing with this id.")
    if not isinstance(body, dict):
        raise Problem(400, "invalid_control", "The body must be an object.")
    command_id = _uuid(body["command_id"]) if "command_id" in body else uuid4()
    try:
        order = ControlNotification.model_validate(
            {
                **{name: body.get(name) for name in _GIVEN},
                "event_id": command_id,
                "tenant": request.query.get("tenant"),
                "key": str(identity),
                "occurred_at": datetime.now(UTC),
                "notification_id": identity,
            }
        )
    except ValidationError as error:
        fields = sorted({str(problem["loc"][0]) if problem["loc"] else "at" for problem in error.errors()})
        names = ["command_id" if name == "event_id" else name for name in fields]
        raise Problem(400, "invalid_control", f"Wrong or missing: {', '.join(names)}.") from error
    return Command(order, tracing.current_traceparent())


def _uuid(text: JsonValue) -> UUID | None:
    try:
        return UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _answer(command: Command, standing: Standing) -> JsonValue:
    start = standing.start if standing.place is Place.WAITING else None
    return {
        "id": str(command.order.notification_id),
        "gate": standing.gate,
        "revision": standing.revision,
        "waits": standing.place is Place.WAITING,
        "at": start.at.astimezone(UTC).isoformat() if start else None,
        "wall": start.wall if start else None,
        "zone": start.zone if start else None,
        "reason": standing.reason,
    }
