"""The queries over HTTP, as the gateway asks them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import aiohttp
import pytest
from pydantic import SecretStr

from libs.bus import Bus
from libs.contracts.ids import delivery_id
from libs.contracts.states import DeliveryState
from libs.storage import Database
from libs.web import Server
from services.tracker.handlers import TrackerHandlers
from services.tracker.resending import Resending
from services.tracker.routes import routes
from tests.services.tracker.making import (
    NOON,
    TENANT,
    accepted,
    attempted,
    expanded,
    new_id,
    planned,
    reported,
    suppressed,
    tell,
)

pytestmark = pytest.mark.postgres
S = DeliveryState
TOKEN = "internal-token"


class QuietBus:
    """A bus without subscriptions."""

    async def check(self) -> None:
        """All is well."""


class Client:
    """GET with the token: status and body."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url

    async def __call__(self, path: str, **query: object) -> tuple[int, Any]:
        parameters = {"tenant": TENANT, **query}
        given = {name: str(value) for name, value in parameters.items() if value is not None}
        async with self._session.get(self._url + path, params=given) as response:
            return response.status, await response.json(content_type=None)

    async def post(self, path: str, body: object = None, *, raw: bytes | None = None) -> tuple[int, Any]:
        """POST: status and body."""
        given = {"data": raw} if raw is not None else {"json": body}
        async with self._session.post(self._url + path, params={"tenant": TENANT}, **given) as response:  # type: ignore[arg-type]
            return response.status, await response.json(content_type=None)


@pytest.fixture
async def get(database: Database) -> AsyncIterator[Client]:
    resending = Resending(database, published=lambda: None)
    server = Server(routes(cast("Bus", QuietBus()), database, SecretStr(TOKEN), resending), "127.0.0.1", 0)
    await server.start()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
        yield Client(session, f"http://127.0.0.1:{server.port}")
    await server.stop()


async def test_a_notification_from_acceptance_to_done(
    get: Client, database: Database, handlers: TrackerHandlers
) -> None:
    notification = new_id()
    assert (await get(f"/notifications/{notification}"))[0] == 404
    await tell(database, handlers, accepted(notification))
    status, answer = await get(f"/notifications/{notification}")
    assert (status, answer) == (
        200,
        {
            "id": str(notification),
            "state": "running",
            "channel": "sms",
            "lane": "bulk",
            "dialect": "native",
            "accepted_at": "2026-11-22T12:00:00.000Z",
            "planned": 0,
            "suppressed": 0,
            "counts": {},
            "trace_id": "ab" * 16,
            "totals_known": False,
        },
    )
    await tell(database, handlers, expanded(notification, 3, 1))
    _, answer = await get(f"/notifications/{notification}")
    assert (answer["state"], answer["planned"], answer["counts"]) == ("running", 3, {"queued": 3})
    await tell(database, handlers, planned(notification, 0, 3))
    await tell(database, handlers, suppressed(notification, 3, ["no_address"]))
    await tell(database, handlers, attempted(notification, [(n, S.SENT, "", f"{notification}{n}") for n in range(2)]))
    _, answer = await get(f"/notifications/{notification}")
    assert (answer["state"], answer["counts"], answer["suppressed"]) == ("running", {"queued": 1, "sent": 2}, 1)
    await tell(database, handlers, attempted(notification, [(2, S.FAILED, "blocked", "")]))
    await tell(database, handlers, reported([(f"{notification}0", S.DELIVERED, "000")]))
    _, answer = await get(f"/notifications/{notification}")
    # What is sent need not be reported for the whole to be done: some carriers never report.
    assert (answer["state"], answer["counts"]) == ("done", {"sent": 1, "delivered": 1, "failed": 1})


async def test_what_waits_says_until_when(get: Client, database: Database, handlers: TrackerHandlers) -> None:
    notification, past = new_id(), new_id()
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    await tell(database, handlers, accepted(notification, at=start), accepted(past, at=NOON))
    _, answer = await get(f"/notifications/{notification}")
    assert (answer["state"], answer["at"]) == ("waiting", start.strftime("%Y-%m-%dT%H:%M:%S.000Z"))
    assert (await get(f"/notifications/{past}"))[1]["state"] in ("running", "waiting")


async def test_one_delivery_with_its_history(get: Client, database: Database, handlers: TrackerHandlers) -> None:
    notification = new_id()
    delivery = delivery_id(notification, 65)
    await tell(database, handlers, planned(notification, 0, 100))
    await tell(database, handlers, attempted(notification, [(65, S.RETRYING, "busy", "")], after=1))
    await tell(database, handlers, attempted(notification, [(65, S.SENT, "", "m1")], attempt=2, after=61))
    await tell(database, handlers, reported([("m1", S.NOT_DELIVERED, "069")], after=90))
    assert await get(f"/deliveries/{delivery}") == (
        200,
        {
            "id": str(delivery),
            "notification_id": str(notification),
            "client_id": 1065,
            "channel": "sms",
            "to": "+48000000065",
            "state": "not_delivered",
            "reason": "069",
            "generation": 0,
            "attempts": [
                {
                    "attempt": 1,
                    "at": "2026-11-22T12:00:01.000Z",
                    "state": "retrying",
                    "reason": "busy",
                    "provider": "http_smsc",
                    "provider_message_id": None,
                },
                {
                    "attempt": 2,
                    "at": "2026-11-22T12:01:01.000Z",
                    "state": "sent",
                    "reason": None,
                    "provider": "http_smsc",
                    "provider_message_id": "m1",
                },
            ],
            "receipts": [
                {
                    "at": "2026-11-22T12:01:29.000Z",
                    "state": "not_delivered",
                    "code": "069",
                    "received_at": "2026-11-22T12:01:30.000Z",
                }
            ],
        },
    )
    assert (await get(f"/deliveries/{delivery.hex}"))[1]["id"] == str(delivery)
    assert (await get(f"/deliveries/{delivery_id(notification, 100)}"))[0] == 404


@pytest.mark.parametrize("limit", [1, 7, 64, 65, 1000])
async def test_pages_hold_everybody_once(
    limit: int, get: Client, database: Database, handlers: TrackerHandlers
) -> None:
    """Numbers begin in the middle of a block, leave some blocks out and go into a second step."""
    notification = new_id()
    numbers = [*range(30, 110), *range(700, 720)]
    await tell(database, handlers, planned(notification, 30, 80), planned(notification, 700, 10))
    await tell(
        database,
        handlers,
        suppressed(notification, 710, ["no_address"] * 10),
    )
    await tell(database, handlers, planned(notification, 700, 5, step=1))
    await tell(database, handlers, attempted(notification, [(n, S.FAILED, "blocked", "") for n in range(31, 110, 3)]))
    await tell(database, handlers, expanded(notification, 90, 10), expanded(notification, 5, step=1))
    wanted = [str(delivery_id(notification, number)) for number in numbers]
    wanted += [str(delivery_id(notification, number, step=1)) for number in range(700, 705)]

    async def walk(**query: object) -> list[dict[str, Any]]:
        found, cursor = [], None
        while True:
            status, page = await get(f"/notifications/{notification}/deliveries", limit=limit, cursor=cursor, **query)
            assert (status, len(page["deliveries"]) <= limit) == (200, True)
            found += page["deliveries"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    everybody = await walk()
    assert [delivery["id"] for delivery in everybody] == wanted
    for state, count in {"suppressed": 10, "failed": 27, "queued": 68, "delivered": 0}.items():
        listed = await walk(state=state)
        assert listed == [delivery for delivery in everybody if delivery["state"] == state]
        assert len(listed) == count
    assert {(one["reason"], one["to"]) for one in everybody if one["state"] == "suppressed"} == {("no_address", None)}


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"limit": "٣"}, "limit"),
        ({"state": "nothing"}, "state"),
        ({"state": ""}, "state"),
        ({"cursor": ""}, "cursor"),
        ({"cursor": "!"}, "cursor"),
        ({"cursor": "é"}, "cursor"),
        ({"cursor": "AAAA"}, "cursor"),
        ({"cursor": "A" * 22}, "cursor"),
        ({"tenant": None}, "tenant"),
        ({"tenant": "No Tenant"}, "tenant"),
    ],
)
async def test_bad_parameters_are_named(
    query: dict[str, object], parameter: str, get: Client, database: Database, handlers: TrackerHandlers
) -> None:
    notification = new_id()
    await tell(database, handlers, planned(notification, 0, 3))
    status, problem = await get(f"/notifications/{notification}/deliveries", **query)
    assert (status, problem["type"], problem["parameter"]) == (400, "urn:carillon:problem:invalid_parameter", parameter)


@pytest.mark.parametrize("wrong", ["0", "{id}", "urn:uuid:x", "null", "..", "٣" * 32])
async def test_what_is_no_id_is_unknown(wrong: str, get: Client) -> None:
    for path in (f"/notifications/{wrong}", f"/notifications/{wrong}/deliveries", f"/deliveries/{wrong}"):
        assert (await get(path))[0] == 404


async def test_foreign_and_unknown_are_answered_alike(
    get: Client, database: Database, handlers: TrackerHandlers
) -> None:
    notification = new_id()
    await tell(database, handlers, planned(notification, 0, 3))
    for path in ("/notifications/{}", "/notifications/{}/deliveries", "/deliveries/{}"):
        assert (await get(path.format(notification)))[0] == 200
        foreign = await get(path.format(notification), tenant="other")
        unknown = await get(path.format(uuid4()), tenant="other")
        assert foreign == unknown
        assert foreign[0] == 404


async def test_only_with_the_token(get: Client) -> None:
    async with aiohttp.ClientSession() as session, session.get(get._url + f"/deliveries/{uuid4()}") as response:
        assert response.status == 401
    async with aiohttp.ClientSession() as session, session.get(get._url + "/health/ready") as response:
        assert response.status == 200


async def test_a_resend_is_answered_with_its_verdict(
    get: Client, database: Database, handlers: TrackerHandlers
) -> None:
    notification = new_id()
    path = f"/notifications/{notification}/resend"
    assert (await get.post(path))[0] == 404
    await tell(database, handlers, accepted(notification))
    await tell(database, handlers, planned(notification, 0, 3))
    assert (await get.post(path, {}))[1]["type"].endswith("nothing_to_resend")
    await tell(database, handlers, attempted(notification, [(0, S.FAILED, "no", ""), (1, S.EXPIRED, "", "")]))
    wrong = [str(delivery_id(notification, number)) for number in (0, 2)]
    status, problem = await get.post(path, {"deliveries": wrong})
    assert (status, problem["deliveries"]) == (409, wrong[1:])
    assert await get.post(path, {"states": ["expired"]}) == (
        200,
        {"id": str(notification), "resent": 1, "has_more": False},
    )
    status, answer = await get.post(path, raw=b"")
    assert (status, answer["resent"]) == (200, 1)


@pytest.mark.parametrize(
    "body",
    [
        {"states": ["delivered"]},
        {"states": ["queued", "failed"]},
        {"states": []},
        {"states": ["lost"]},
        {"deliveries": []},
        {"deliveries": ["x"]},
        {"deliveries": ["01a20320-a200-746e-91a7-06ab00000000"] * 2},
        {"everything": True},
        [],
        "all",
    ],
)
async def test_an_order_that_is_none_is_refused(get: Client, body: object) -> None:
    assert (await get.post(f"/notifications/{new_id()}/resend", body))[0] == 400
