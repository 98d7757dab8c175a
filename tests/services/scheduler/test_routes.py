"""Verdicts over HTTP, as the gateway asks for them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from pydantic import SecretStr

from libs.contracts.commands import ControlAction
from libs.contracts.events import NotificationControlled
from libs.contracts.notification import Notification
from libs.storage import Database
from libs.web import Server
from services.scheduler.handlers import SchedulerHandlers
from services.scheduler.repository import ControlRepository
from services.scheduler.routes import ControlRoutes, scheduler_application
from services.scheduler.telling import Teller
from tests.services.scheduler.making import (
    HOUR,
    LATE,
    Recorder,
    accepted,
    control,
    controller,
    notification,
    now,
    ordered,
    received,
    releaser,
    states,
)

pytestmark = pytest.mark.postgres
TOKEN = "internal-token"


class Caller:
    """POST with the token: status and body."""

    def __init__(self, session: aiohttp.ClientSession, url: str, database: Database) -> None:
        self._session, self._url, self.database = session, url, database
        self.decided = 0

    async def __call__(self, one: Notification | str, **body: Any) -> tuple[int, Any]:
        return await self.post(one, body)

    async def post(self, one: Notification | str, body: object, tenant: str | None = "demo") -> tuple[int, Any]:
        identity = one if isinstance(one, str) else str(one.notification_id)
        path = f"{self._url}/notifications/{identity}/control"
        async with self._session.post(path, json=body, params={"tenant": tenant} if tenant else {}) as response:
            return response.status, await response.json(content_type=None)

    async def hold(self, one: Notification, **more: Any) -> None:
        handlers = SchedulerHandlers(controller(), lambda: None)
        async with self.database.transaction() as connection:
            await handlers.on_notification_accepted(received(accepted(one, **more)), connection)

    async def told(self) -> list[NotificationControlled]:
        bus = Recorder()
        await Teller(self.database, ControlRepository(), bus.publish, longest_pause=timedelta(seconds=1)).turn()
        return [one.message for one in bus.outgoing if isinstance(one.message, NotificationControlled)]


@pytest.fixture
async def call(database: Database) -> AsyncIterator[Caller]:
    callers: list[Caller] = []

    def decided() -> None:
        callers[0].decided += 1

    app = scheduler_application(ControlRoutes(database, controller(), decided), SecretStr(TOKEN), {})
    server = Server(app, "127.0.0.1", 0)
    await server.start()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
        callers.append(Caller(session, f"http://127.0.0.1:{server.port}", database))
        yield callers[0]
    await server.stop()


async def test_a_verdict_is_what_is_in_force_and_is_told(call: Caller) -> None:
    one = notification(wall="2026-11-23T09:00:00", zone="Europe/Warsaw")
    await call.hold(one)
    assert one.at is not None
    assert await call(one, action="pause") == (
        200,
        {
            "id": str(one.notification_id),
            "gate": "paused",
            "revision": 1,
            "waits": True,
            "at": one.at.isoformat(),
            "wall": one.wall,
            "zone": one.zone,
            "reason": "",
        },
    )
    (event,) = await call.told()
    assert (event.gate, event.revision, event.waits) == ("paused", 1, True)
    assert await call.told() == []
    assert call.decided == 1


async def test_another_start(call: Caller) -> None:
    one = notification()
    await call.hold(one)
    start = {"at": "2027-03-01T09:00:00+01:00", "wall": "2027-03-01T09:00:00", "zone": "Europe/Warsaw"}
    status, body = await call(one, action="reschedule", **start)
    assert (status, body["at"], body["zone"]) == (200, "2027-03-01T08:00:00+00:00", "Europe/Warsaw")


async def test_a_call_that_is_repeated_gets_its_verdict_again(call: Caller) -> None:
    one = notification()
    await call.hold(one)
    pause = {"action": "pause", "command_id": str(uuid4())}
    first = await call(one, **pause)
    assert await call(one, **pause) == first
    await call(one, action="resume")
    status, body = await call(one, **pause)
    assert (status, body["gate"], body["revision"]) == (200, "open", 2)


async def test_too_late(call: Caller) -> None:
    one = notification(at=now() - LATE)
    await call.hold(one)
    await releaser(call.database, Recorder()).turn()
    status, body = await call(one, action="reschedule", at="2027-03-01T09:00:00Z")
    assert (status, body["type"], body["gate"]) == (409, "urn:carillon:problem:released", "open")
    assert (await call(one, action="cancel"))[0] == 200
    status, body = await call(one, action="resume")
    assert (status, body["type"], body["gate"]) == (409, "urn:carillon:problem:cancelled", "cancelled")


async def test_a_refusal_that_is_asked_for_again_is_the_same(call: Caller) -> None:
    one = notification()
    await call.hold(one)
    await call(one, action="cancel")
    resume = {"action": "resume", "command_id": str(uuid4())}
    assert [(await call(one, **resume))[0] for _ in range(2)] == [409, 409]


async def test_what_is_not_here_is_unknown_and_nothing_of_it_is_kept(call: Caller) -> None:
    one = notification()
    await call.hold(one, tenant="other")
    sent_on = notification(at=None)
    await call.hold(sent_on, waits=False)
    for unknown in (one, sent_on, "no-id", str(uuid4())):
        assert (await call(unknown, action="cancel"))[0] == 404
    assert await call.told() == []
    assert await states(call.database) == {"waiting": 1}


async def test_a_verdict_and_a_command_from_the_bus_are_one_story(call: Caller) -> None:
    one = notification()
    await call.hold(one)
    await call(one, action="pause")
    handlers = SchedulerHandlers(controller(), lambda: None)
    async with call.database.transaction() as connection:
        await handlers.on_control_notification(ordered(control(one, ControlAction.CANCEL)), connection)
    assert await call.told() == []  # the later revision goes with its command
    status, body = await call(one, action="cancel")
    assert (status, body["gate"], body["revision"]) == (200, "cancelled", 2)


WRONG: dict[str, object] = {
    "no object": [],
    "nothing": {},
    "no such action": {"action": "stop"},
    "no start": {"action": "reschedule"},
    "no offset": {"action": "reschedule", "at": "2027-03-01T09:00:00"},
    "a start for nothing": {"action": "cancel", "at": "2027-03-01T09:00:00Z"},
    "no id": {"action": "cancel", "command_id": "seven"},
    "a long zone": {"action": "reschedule", "at": "2027-03-01T09:00:00Z", "zone": "A" * 65},
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
async def test_what_cannot_be_understood(call: Caller, body: object) -> None:
    one = notification()
    await call.hold(one)
    status, answer = await call.post(one, body)
    assert (status, answer["type"]) == (400, "urn:carillon:problem:invalid_control")
    assert (await call.post(one, {"action": "pause"}, tenant=None))[0] == 400
    assert (await call.post(one, {"action": "pause"}, tenant="NO"))[0] == 400
    assert await states(call.database) == {"waiting": 1}


async def test_without_the_token_nobody_decides(call: Caller) -> None:
    one = notification(at=now() + HOUR)
    await call.hold(one)
    path = f"{call._url}/notifications/{one.notification_id}/control"
    async with aiohttp.ClientSession() as stranger, stranger.post(path, json={"action": "cancel"}) as response:
        assert response.status == 401
