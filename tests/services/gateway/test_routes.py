"""The engine: the same for every API, answered in each one's own form."""

import asyncio
import io
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from yarl import URL

from libs.bus import OutcomeUnknown, Refused
from libs.contracts.audience import Addresses, ClientIds, StoredAudience
from libs.contracts.failures import Unavailable
from libs.contracts.ids import is_notification_id, new_notification_id
from libs.contracts.notification import order_key
from libs.contracts.routing import Lane
from libs.web import Server
from tests.services.gateway.doubles import (
    ALTEGIO,
    API_KEY,
    NATIVE,
    PARTNER_TOKEN,
    READ_ONLY_KEY,
    SECRET,
    SMS_PATH,
    USER_TOKEN,
    credential,
)

SMS = {"client_ids": [1, 2], "text": "hi"}
NATIVE_SMS = {"channel": "sms", "to": {"client_ids": [1, 2]}, "content": {"text": "hi"}}
ALTEGIO_503 = b'{"success":false,"data":null,"meta":{"message":"Service unavailable."}}'

CALLS = {"altegio": (SMS_PATH, ALTEGIO, SMS, 201), "native": ("/notifications", NATIVE, NATIVE_SMS, 202)}
EACH_CALL = pytest.mark.parametrize("name", CALLS)


async def test_altegio_is_answered_byte_by_byte(gateway: Any, behind: Any) -> None:
    for path in (SMS_PATH, SMS_PATH.removeprefix("/api")):
        async with gateway.post(path, json=SMS, headers=ALTEGIO) as response:
            assert response.status == 201
            assert await response.read() == b'{"success":true,"data":null,"meta":{"message":"Accepted"}}'
            given = UUID(response.headers["X-Notification-Id"])
        command = behind.intake.commands[-1]
        (notification,) = command.notifications
        assert is_notification_id(given)
        assert (command.tenant, command.dialect, command.key) == ("demo", "altegio", str(given))
        assert notification.notification_id == given
        assert notification.to == ClientIds(client_ids=(1, 2))
        assert behind.intake.accepted[-1].topic.name == "send.notification.bulk"


async def test_native_is_answered_with_id_and_trace(gateway: Any, behind: Any) -> None:
    trace = uuid4().hex
    headers = NATIVE | {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    async with gateway.post("/notifications", json=NATIVE_SMS, headers=headers) as response:
        assert response.status == 202
        answer = await response.json()
        assert response.headers["Location"] == f"/notifications/{answer['id']}"
        assert response.headers["X-Notification-Id"] == answer["id"]
    assert answer == {"id": str(behind.intake.commands[0].notifications[0].notification_id), "trace_id": trace}


async def test_one_recipient_is_urgent_and_keeps_its_own_order(gateway: Any, behind: Any) -> None:
    async with gateway.post(SMS_PATH, json={"client_ids": [17, 17], "text": "hi"}, headers=ALTEGIO) as response:
        assert response.status == 201
    assert behind.intake.accepted[0].topic.lane is Lane.URGENT
    assert behind.intake.commands[0].key == "client:17"


async def test_no_phone_number_stands_in_a_key(gateway: Any, behind: Any) -> None:
    body = {"channel": "sms", "to": {"addresses": ["+48 501 234 567"]}, "content": {"text": "hi"}}
    for _ in range(2):
        async with gateway.post("/notifications", json=body, headers=NATIVE) as response:
            assert response.status == 202
    first, second = behind.intake.commands
    assert first.key == second.key
    assert first.key == order_key(first.notifications[0])
    assert "501234567" not in first.key
    assert first.notifications[0].to == Addresses(addresses=("+48501234567",))


async def test_a_long_list_is_stored_before_the_command_names_it(gateway: Any, behind: Any) -> None:
    ids = [10_000_000 + number for number in range(100_000)]
    async with gateway.post(SMS_PATH, json={"client_ids": ids, "text": "hi"}, headers=ALTEGIO) as response:
        assert response.status == 201
    to = behind.intake.commands[0].notifications[0].to
    body = behind.content.bodies["demo", to.sha256]
    assert to == StoredAudience(sha256=to.sha256, size=len(body), count=100_000)
    assert ClientIds.model_validate_json(body).client_ids == tuple(ids)


async def test_without_ingest_long_lists_are_refused_and_short_ones_go_on(gateway: Any, behind: Any) -> None:
    behind.content.failure = Unavailable("ingest is away")
    long = {"client_ids": list(range(10_000_000, 10_050_000)), "text": "hi"}
    async with gateway.post(SMS_PATH, json=long, headers=ALTEGIO) as response:
        assert (response.status, await response.read()) == (503, ALTEGIO_503)
        assert response.headers["X-Accept-Outcome"] == "refused"
    async with gateway.post(SMS_PATH, json=SMS, headers=ALTEGIO) as response:
        assert response.status == 201
    assert len(behind.intake.accepted) == 1


@EACH_CALL
@pytest.mark.parametrize(
    ("failure", "outcome"),
    [(Refused("open"), "refused"), (OutcomeUnknown("late"), "unknown"), (Unavailable("away"), "refused")],
)
async def test_without_an_acknowledgement_nothing_is_promised(
    gateway: Any, behind: Any, name: str, failure: Exception, outcome: str
) -> None:
    path, headers, body, _ = CALLS[name]
    behind.intake.failure = failure
    async with gateway.post(path, json=body, headers=headers) as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "1"
        assert response.headers["X-Accept-Outcome"] == outcome
        assert "X-Notification-Id" not in response.headers
        if name == "altegio":
            assert await response.read() == ALTEGIO_503
        else:
            assert response.content_type == "application/problem+json"
            assert (await response.json())["type"] == "urn:carillon:problem:unavailable"


@EACH_CALL
async def test_without_postgres_remembered_credentials_and_unkeyed_calls_go_on(
    gateway: Any, behind: Any, name: str
) -> None:
    path, headers, body, status = CALLS[name]
    behind.repository.is_away = True
    async with gateway.post(path, json=body, headers=headers) as response:
        assert (response.status, response.headers["X-Accept-Outcome"]) == (503, "refused")
    behind.repository.is_away = False
    async with gateway.post(path, json=body, headers=headers) as response:
        assert response.status == status
    behind.repository.is_away = True
    async with gateway.post(path, json=body, headers=headers) as response:
        assert response.status == status
    async with gateway.post(path, json=body, headers=headers | {"Idempotency-Key": "k"}) as response:
        assert (response.status, response.headers["X-Accept-Outcome"]) == (503, "refused")
    behind.seconds += 26
    async with gateway.post(path, json=body, headers=headers) as response:
        assert response.status == 503
    assert len(behind.intake.accepted) == 2


async def test_a_credential_is_looked_up_once_and_a_revoked_one_ends(gateway: Any, behind: Any) -> None:
    for _ in range(3):
        async with gateway.post(SMS_PATH, json=SMS, headers=ALTEGIO) as response:
            assert response.status == 201
    assert behind.repository.lookups == 1
    del behind.repository.known["altu_test"]
    behind.seconds += 25.1
    async with gateway.post(SMS_PATH, json=SMS, headers=ALTEGIO) as response:
        assert response.status == 401


async def test_the_publish_gets_what_is_left_of_the_time(gateway: Any, behind: Any) -> None:
    async with gateway.post(SMS_PATH, json=SMS, headers=ALTEGIO) as response:
        assert response.status == 201
    assert 0 < behind.intake.within[0] <= 2.5


@EACH_CALL
async def test_too_many_requests(gateway: Any, behind: Any, name: str) -> None:
    path, headers, _, _ = CALLS[name]
    for _ in range(200):
        async with gateway.post(path, data=b"{}", headers=headers) as response:
            assert response.status in (415, 422)
    async with gateway.post(path, data=b"{}", headers=headers) as response:
        assert response.status == 429
        assert int(response.headers["Retry-After"]) >= 1
        answer = await response.json(content_type=None)
        assert (answer["meta"]["message"] if name == "altegio" else answer["detail"]).startswith("More than 200")
    behind.seconds += 60
    async with gateway.post(path, data=b"{}", headers=headers) as response:
        assert response.status in (415, 422)


async def test_who_tries_out_locations_is_limited_too(gateway: Any) -> None:
    for location in range(100, 300):
        async with gateway.post(f"/v1/sms/clients/by_id/{location}", headers=ALTEGIO) as response:
            assert response.status == 404
    async with gateway.post("/v1/sms/clients/by_id/300", headers=ALTEGIO) as response:
        assert response.status == 429


async def test_a_caller_that_hangs_up_does_not_stop_its_call(behind: Any) -> None:
    behind.intake.wait = asyncio.Event()
    server = Server(behind.app(), "127.0.0.1", 0)
    await server.start()
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    body = json.dumps(NATIVE_SMS).encode()
    head = f"POST /notifications HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\nContent-Length: {len(body)}\r\n"
    writer.write(head.encode() + f"Authorization: {NATIVE['Authorization']}\r\n\r\n".encode() + body)
    while not behind.intake.within:
        await asyncio.sleep(0)
    writer.transport.abort()
    await asyncio.sleep(0.05)
    behind.intake.wait.set()
    while not behind.repository.records or not next(iter(behind.repository.records.values()))[0].response:
        await asyncio.sleep(0.01)
    await server.stop()
    assert len(behind.intake.accepted) == 1


@EACH_CALL
async def test_a_repeated_key_is_answered_again(gateway: Any, behind: Any, name: str) -> None:
    path, headers, body, status = CALLS[name]
    keyed = headers | {"Idempotency-Key": "k"}
    async with gateway.post(path, json=body, headers=keyed) as response:
        first = response.status, await response.read(), response.headers["X-Notification-Id"]
        assert "Idempotent-Replayed" not in response.headers
    async with gateway.post(path, json=body, headers=keyed) as response:
        assert (response.status, await response.read(), response.headers["X-Notification-Id"]) == first
        assert response.headers["Idempotent-Replayed"] == "true"
    assert first[0] == status
    assert len(behind.intake.accepted) == 1
    async with gateway.post(
        path, data=json.dumps(body).encode() + b" ", headers=keyed | {"Content-Type": "application/json"}
    ) as response:
        assert response.status == 422


async def test_the_other_spelling_of_a_path_is_the_same_call(gateway: Any, behind: Any) -> None:
    keyed = ALTEGIO | {"Idempotency-Key": "k"}
    for path, replayed in ((SMS_PATH, None), (SMS_PATH.removeprefix("/api"), "true")):
        async with gateway.post(path, json=SMS, headers=keyed) as response:
            assert (response.status, response.headers.get("Idempotent-Replayed")) == (201, replayed)


@EACH_CALL
async def test_a_live_twin_is_told_to_wait(gateway: Any, behind: Any, name: str) -> None:
    path, headers, body, status = CALLS[name]
    keyed = headers | {"Idempotency-Key": "k"}
    behind.intake.wait = asyncio.Event()

    async def call() -> tuple[int, str | None]:
        async with gateway.post(path, json=body, headers=keyed) as response:
            return response.status, response.headers.get("Retry-After")

    first = asyncio.create_task(call())
    while not behind.intake.within:
        await asyncio.sleep(0)
    assert await call() == (409, "1")
    behind.intake.wait.set()
    assert await first == (status, None)
    assert len(behind.intake.accepted) == 1


@EACH_CALL
async def test_a_retry_after_a_failure_repeats_the_ids(gateway: Any, behind: Any, name: str) -> None:
    path, headers, body, status = CALLS[name]
    keyed = headers | {"Idempotency-Key": "k"}
    behind.intake.failure = OutcomeUnknown("late")
    async with gateway.post(path, json=body, headers=keyed) as response:
        assert response.status == 503
    ((record, _, _),) = behind.repository.records.values()
    behind.intake.failure = None
    async with gateway.post(path, json=body, headers=keyed) as response:
        assert response.status == status
        assert response.headers["X-Notification-Id"] == str(record.ids[0])
    assert behind.intake.commands[0].notifications[0].notification_id == record.ids[0]


async def test_a_call_taken_over_is_the_same_command(gateway: Any, behind: Any) -> None:
    """The gateway died between the acknowledgement and remembering it: nobody ended the claim."""
    keyed = NATIVE | {"Idempotency-Key": "k"}
    async with gateway.post("/notifications", json=NATIVE_SMS, headers=keyed) as response:
        assert response.status == 202
    ((place, (record, claimed_at, created_at)),) = behind.repository.records.items()
    behind.repository.records[place] = (
        type(record)(record.claim, record.fingerprint, record.ids, None),
        claimed_at,
        created_at,
    )
    async with gateway.post("/notifications", json=NATIVE_SMS, headers=keyed) as response:
        assert response.status == 409
    behind.repository.age(6)
    async with gateway.post("/notifications", json=NATIVE_SMS, headers=keyed) as response:
        assert response.status == 202
    first, second = behind.intake.commands
    assert first == second


@EACH_CALL
@pytest.mark.parametrize("key", ["", "k" * 256, "ключ"])
async def test_a_key_that_cannot_be_kept(gateway: Any, behind: Any, name: str, key: str) -> None:
    path, headers, body, _ = CALLS[name]
    async with gateway.post(path, json=body, headers=headers | {"Idempotency-Key": key}) as response:
        assert response.status == (422 if name == "altegio" else 400)
    assert not behind.intake.accepted


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {PARTNER_TOKEN}, User {USER_TOKEN}", 201),
        (f"bearer {PARTNER_TOKEN},user {USER_TOKEN}", 201),
        (f"USER {USER_TOKEN} , BEARER {PARTNER_TOKEN}", 201),
        (f"Bearer {PARTNER_TOKEN}, User {USER_TOKEN},", 201),
        ("", 401),
        (",", 401),
        ("Bearer", 401),
        (f"Bearer {PARTNER_TOKEN}", 401),
        (f"User {USER_TOKEN}", 401),
        (f"Bearer {USER_TOKEN}, User {PARTNER_TOKEN}", 401),
        (f"Bearer {API_KEY}, User {USER_TOKEN}", 401),
        (f"Bearer {PARTNER_TOKEN}x, User {USER_TOKEN}", 401),
        (f"Bearer {PARTNER_TOKEN}, User altu_test.{'x' * 32}", 401),
        (f"Bearer {PARTNER_TOKEN}, User altu_nobody.{SECRET}", 401),
        (f"Bearer {PARTNER_TOKEN}, User altu_test", 401),
        (f"Bearer {PARTNER_TOKEN}, User {USER_TOKEN}, User {USER_TOKEN}", 401),
        (f"Bearer {PARTNER_TOKEN}, User altu_other.{SECRET}", 401),
        (f"Bearer altp_old.{SECRET}, User {USER_TOKEN}", 401),
        (f"Bearer {PARTNER_TOKEN}, User altu_reader.{SECRET}", 403),
    ],
)
async def test_altegio_credentials(gateway: Any, behind: Any, authorization: str, status: int) -> None:
    async with gateway.post(SMS_PATH, json=SMS, headers={"Authorization": authorization}) as response:
        assert response.status == status
        body = await response.read()
    if status == 401:
        assert body == b'{"success":false,"data":null,"meta":{"message":"Authentication needed."}}'
    if status == 403:
        assert body == b'{"success":false,"data":null,"meta":{"message":"Access denied."}}'
    assert len(behind.intake.accepted) == (status == 201)


@pytest.mark.parametrize(
    ("location", "status"),
    [
        ("1", 201),
        ("2", 403),
        ("3", 404),
        ("9", 404),
        ("abc", 404),
        ("-1", 404),
        ("%D9%A1", 404),
        (str(2**70), 404),
        ("%00", 404),
        ("1%2F2", 404),
    ],
)
async def test_altegio_locations(gateway: Any, location: str, status: int) -> None:
    path = URL(f"/api/v1/sms/clients/by_id/{location}", encoded=True)
    async with gateway.post(path, json=SMS, headers=ALTEGIO) as response:
        assert response.status == status
        if status == 404:
            assert await response.read() == b'{"success":false,"data":null,"meta":{}}'


@pytest.mark.parametrize(
    ("headers", "location", "body", "status"),
    [
        ({}, "3", b"nonsense", 401),
        (ALTEGIO, "3", b"nonsense", 404),
        (ALTEGIO, "2", b"nonsense", 403),
        (ALTEGIO, "1", b"nonsense", 422),
    ],
)
async def test_altegio_checks_in_the_documented_order(
    gateway: Any, headers: dict[str, str], location: str, body: bytes, status: int
) -> None:
    path = f"/v1/sms/clients/by_id/{location}"
    async with gateway.post(path, data=body, headers=headers | {"Content-Type": "application/json"}) as response:
        assert response.status == status


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {API_KEY}", 202),
        (f"BEARER  {API_KEY} ", 202),
        (f"Bearer key_readonly.{SECRET}", 403),
        ("", 401),
        ("Bearer nobody_nothing", 401),
        (f"Basic {API_KEY}", 401),
        (f"Bearer {PARTNER_TOKEN}", 401),
        (f"Bearer {API_KEY}, User {USER_TOKEN}", 401),
        ("Bearer é.ééééééééééééééééééé", 401),
    ],
)
async def test_native_credentials(gateway: Any, authorization: str, status: int) -> None:
    async with gateway.post("/notifications", json=NATIVE_SMS, headers={"Authorization": authorization}) as response:
        assert response.status == status
        assert ("WWW-Authenticate" in response.headers) == (status == 401)
        assert response.content_type == ("application/json" if status == 202 else "application/problem+json")


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("POST", "/api/v1/nothing", 404, b'{"error":"not found"}'),
        ("POST", "/api/v1/nothing/at/all", 404, b'{"success":false,"data":null,"meta":{}}'),
        ("POST", "/v1/nothing", 404, b'{"success":false,"data":null,"meta":{}}'),
        ("GET", SMS_PATH, 405, b'{"success":false,"data":null,"meta":{"message":"Method Not Allowed."}}'),
    ],
)
async def test_unknown_paths_answer_in_the_form_they_look_like(
    gateway: Any, method: str, path: str, status: int, body: bytes
) -> None:
    async with gateway.request(method, path) as response:
        assert (response.status, await response.read()) == (status, body)


async def test_a_native_path_that_nobody_serves(gateway: Any) -> None:
    for method, path, status in (("GET", "/nowhere", 404), ("DELETE", "/notifications", 405)):
        async with gateway.request(method, path) as response:
            assert response.status == status
            assert response.content_type == "application/problem+json"


@EACH_CALL
@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "text/plain"}, b"{}", 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, b"\x1f\x8b", 415),
        ({"Content-Type": "application/json"}, b" " * 1_500_001, 413),
    ],
)
async def test_bodies_that_are_not_read(
    gateway: Any, name: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    path, tokens, _, _ = CALLS[name]
    async with gateway.post(path, data=io.BytesIO(body), headers=tokens | headers) as response:
        assert response.status == status
        answer = await response.json(content_type=None)
        assert answer["meta"]["message"] if name == "altegio" else answer["detail"]


def given_id() -> str:
    return str(new_notification_id(datetime.now(UTC)))


async def test_reads_ask_the_tracker(gateway: Any, behind: Any) -> None:
    number = given_id()
    behind.tracker.answers[f"/notifications/{number}"] = (200, {"id": number, "state": "running"})
    behind.tracker.answers[f"/notifications/{number}/deliveries"] = (200, {"deliveries": []})
    async with gateway.get(f"/notifications/{number}", headers=NATIVE) as response:
        assert (response.status, await response.json()) == (200, {"id": number, "state": "running"})
    path = f"/notifications/{number}/deliveries?state=delivered&limit=5&cursor=abc"
    async with gateway.get(path, headers=NATIVE) as response:
        assert (response.status, await response.json()) == (200, {"deliveries": []})
    assert behind.tracker.asked == [
        (f"/notifications/{number}", {"tenant": "demo"}),
        (
            f"/notifications/{number}/deliveries",
            {"state": "delivered", "limit": "5", "cursor": "abc", "tenant": "demo"},
        ),
    ]


async def test_an_id_that_is_young_may_be_on_its_way(gateway: Any) -> None:
    number = given_id()
    for path in (f"/notifications/{number}", f"/notifications/{number}/deliveries", f"/deliveries/{number}"):
        async with gateway.get(path, headers=NATIVE) as response:
            assert (response.status, await response.json()) == (202, {"id": number, "state": "accepted"})


@pytest.mark.parametrize(
    "number",
    [
        "019b76da-a800-7a11-9c0d-3f2200000000",
        "8e03978e-40d5-43dd-bc93-6894a57f9324",
        "ffffffff-ffff-7fff-bfff-ffffffffffff",
        "00000000-0000-0000-0000-000000000000",
        "x",
        "%2e%2e",
        "1" * 31,
        "{8e03978e-40d5-43dd-bc93-6894a57f9324}",
    ],
)
async def test_an_id_that_nobody_has(gateway: Any, number: str) -> None:
    for path in ("/notifications/{}", "/notifications/{}/deliveries", "/deliveries/{}"):
        async with gateway.get(URL(path.format(number), encoded=True), headers=NATIVE) as response:
            assert response.status == 404
            assert response.content_type == "application/problem+json"


@pytest.mark.parametrize(
    "query", ["state=flying", "limit=0", "limit=1001", "limit=x", "cursor=", "cursor=%D0%BA", "page=2"]
)
async def test_a_page_that_cannot_be_asked_for(gateway: Any, behind: Any, query: str) -> None:
    async with gateway.get(f"/notifications/{given_id()}/deliveries?{query}", headers=NATIVE) as response:
        assert response.status == 422
    assert not behind.tracker.asked


async def test_a_tracker_that_is_away_or_confused(gateway: Any, behind: Any) -> None:
    number = given_id()
    behind.tracker.answers[f"/notifications/{number}"] = (400, {"detail": "cursor"})
    async with gateway.get(f"/notifications/{number}", headers=NATIVE) as response:
        assert response.status == 400
    behind.tracker.failure = Unavailable("slow")
    async with gateway.get(f"/notifications/{number}", headers=NATIVE) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
        assert "X-Accept-Outcome" not in response.headers


async def test_reading_needs_its_scope(gateway: Any, behind: Any) -> None:
    async with gateway.get(
        f"/notifications/{given_id()}", headers={"Authorization": f"Bearer {READ_ONLY_KEY}"}
    ) as response:
        assert response.status == 202
    behind.repository.known["key_sender"] = credential(
        f"key_sender.{SECRET}", "native", behind.repository.known["key_test"].tenant, {"notifications:send"}, {"*"}
    )
    async with gateway.get(
        f"/notifications/{given_id()}", headers={"Authorization": f"Bearer key_sender.{SECRET}"}
    ) as response:
        assert response.status == 403
