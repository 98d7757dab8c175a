"""Orders about a notification and questions to its owner, from HTTP to the bus and back."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.bus import OutcomeUnknown, Refused
from libs.contracts.commands import ControlAction
from libs.contracts.failures import Unavailable
from libs.contracts.ids import NotificationId, delivery_id, new_notification_id
from tests.services.gateway.doubles import NATIVE, OTHERS_KEY, READ_ONLY_KEY

ACTIONS = pytest.mark.parametrize("action", ["pause", "resume", "cancel", "reschedule"])
START = {"at": "2027-03-01T09:00:00Z"}
OLD = datetime.now(UTC) - timedelta(minutes=6)


def young() -> NotificationId:
    return new_notification_id(datetime.now(UTC))


def old() -> NotificationId:
    return new_notification_id(OLD)


def known(behind: Any, state: str = "running") -> NotificationId:
    number = old()
    document = {"id": str(number), "state": state, "accepted_at": "2026-11-22T10:00:00.000Z"}
    behind.tracker.answers[f"/notifications/{number}"] = (200, document)
    return number


def body_of(action: str) -> Any:
    return START if action == "reschedule" else None


@ACTIONS
async def test_an_order_is_on_the_bus_when_it_is_answered(gateway: Any, behind: Any, action: str) -> None:
    number = known(behind, "waiting")
    path = f"/notifications/{number}/{action}"
    async with gateway.post(path, json=body_of(action), headers=NATIVE) as response:
        assert response.status == 202
        assert await response.json() == {"id": str(number), "action": action}
        assert "X-Notification-Id" not in response.headers
    ((order,), (outgoing,)) = behind.intake.orders, behind.intake.accepted
    assert outgoing.topic.name == "control.notification.urgent"
    assert (order.tenant, order.key, order.notification_id) == ("demo", str(number), number)
    assert order.action is ControlAction(action)
    assert order.at == (datetime(2027, 3, 1, 9, tzinfo=UTC) if action == "reschedule" else None)
    assert behind.tracker.asked == [(f"/notifications/{number}", {"tenant": "demo"})]


async def test_a_new_start_by_the_clocks_of_a_zone(gateway: Any, behind: Any) -> None:
    number = known(behind, "waiting")
    body = {"at": "2030-03-31T02:30:00", "zone": "Europe/Warsaw"}
    async with gateway.post(f"/notifications/{number}/reschedule", json=body, headers=NATIVE) as response:
        assert await response.json() == {
            "id": str(number),
            "action": "reschedule",
            "at": "2030-03-31T01:30:00Z",
            "zone": "Europe/Warsaw",
            "adjusted": "gap",
        }
    (order,) = behind.intake.orders
    assert (order.wall, order.zone) == ("2030-03-31T02:30:00", "Europe/Warsaw")


@ACTIONS
@pytest.mark.parametrize("state", ["done", "rejected"])
async def test_what_is_over_is_told_to_be(gateway: Any, behind: Any, action: str, state: str) -> None:
    number = known(behind, state)
    path = f"/notifications/{number}/{action}"
    for _ in range(2):  # a refusal is not what a key remembers
        async with gateway.post(path, json=body_of(action), headers=NATIVE | {"Idempotency-Key": "k"}) as response:
            assert (response.status, (await response.json())["state"]) == (409, state)
    assert not behind.intake.accepted


@ACTIONS
async def test_an_id_that_nobody_has(gateway: Any, behind: Any, action: str) -> None:
    for number in (old(), delivery_id(young(), 1), "nonsense"):
        async with gateway.post(f"/notifications/{number}/{action}", json=body_of(action), headers=NATIVE) as response:
            assert response.status == 404
    assert not behind.intake.accepted


async def test_an_order_may_overtake_the_acceptance(gateway: Any, behind: Any) -> None:
    async with gateway.post(f"/notifications/{young()}/cancel", headers=NATIVE) as response:
        assert response.status == 202
    assert len(behind.intake.orders) == 1


async def test_without_the_tracker_a_campaign_can_be_stopped(gateway: Any, behind: Any) -> None:
    behind.tracker.failure = Unavailable("away")
    async with gateway.post(f"/notifications/{old()}/cancel", headers=NATIVE) as response:
        assert response.status == 202
    assert len(behind.intake.orders) == 1


@pytest.mark.parametrize(("failure", "outcome"), [(Refused("open"), "refused"), (OutcomeUnknown("late"), "unknown")])
async def test_without_an_acknowledgement_nothing_is_promised(
    gateway: Any, behind: Any, failure: Exception, outcome: str
) -> None:
    behind.intake.failure = failure
    async with gateway.post(f"/notifications/{young()}/pause", headers=NATIVE) as response:
        assert (response.status, response.headers["X-Accept-Outcome"]) == (503, outcome)
        assert response.headers["Retry-After"] == "1"


async def test_a_repeated_key_is_answered_again_and_orders_nothing(gateway: Any, behind: Any) -> None:
    number, keyed = known(behind), NATIVE | {"Idempotency-Key": "k"}
    answers = []
    for _ in range(2):
        async with gateway.post(f"/notifications/{number}/cancel", headers=keyed) as response:
            answers.append((response.status, await response.read()))
    assert answers[0] == answers[1]
    assert len(behind.intake.orders) == 1
    async with gateway.post(f"/notifications/{known(behind)}/cancel", headers=keyed) as response:
        assert response.status == 422


async def test_a_retry_after_a_failure_is_the_same_command(gateway: Any, behind: Any) -> None:
    number, keyed = known(behind), NATIVE | {"Idempotency-Key": "k"}
    behind.intake.failure = OutcomeUnknown("late")
    async with gateway.post(f"/notifications/{number}/pause", headers=keyed) as response:
        assert response.status == 503
    ((record, _, _),) = behind.repository.records.values()
    behind.intake.failure = None
    for _ in range(2):
        async with gateway.post(f"/notifications/{number}/pause", headers=keyed) as response:
            assert response.status == 202
    (order,) = behind.intake.orders
    behind.repository.records.clear()
    async with gateway.post(f"/notifications/{number}/pause", headers=NATIVE) as response:
        assert response.status == 202
    assert len({one.event_id for one in behind.intake.orders}) == 2
    assert abs(order.occurred_at - datetime.now(UTC)) < timedelta(seconds=60)
    assert len(record.ids) == 1


@pytest.mark.parametrize(
    ("action", "body", "field"),
    [
        ("reschedule", None, "at"),
        ("reschedule", {}, "at"),
        ("reschedule", {"at": None}, "at"),
        ("reschedule", {"at": "tomorrow"}, "at"),
        ("reschedule", {"at": "2027-03-01T09:00:00"}, "at"),
        ("reschedule", {"at": "2027-03-01T09:00:00", "zone": "Mars"}, "zone"),
        ("reschedule", START | {"lane": "bulk"}, "lane"),
        ("cancel", {"reason": "x"}, "reason"),
        ("pause", {"a": 1, "b": 2}, "body"),
    ],
)
async def test_what_is_refused_and_why(gateway: Any, behind: Any, action: str, body: Any, field: str) -> None:
    async with gateway.post(f"/notifications/{known(behind)}/{action}", json=body, headers=NATIVE) as response:
        assert response.status == 422
        assert [error["field"] for error in (await response.json())["errors"]] == [field]
    assert not behind.intake.accepted


@pytest.mark.parametrize("path", ["cancel", "resend"])
async def test_rights(gateway: Any, behind: Any, path: str) -> None:
    number = known(behind)
    for key, status in (("nobody.ssssssssssssssssssss", 401), (READ_ONLY_KEY, 403)):
        headers = {"Authorization": f"Bearer {key}"}
        async with gateway.post(f"/notifications/{number}/{path}", headers=headers) as response:
            assert response.status == status
    async with gateway.get(f"/notifications/{number}/cancel", headers=NATIVE) as response:
        assert response.status == 405
    assert not behind.intake.accepted


async def test_every_order_carries_the_tenant_of_its_caller(gateway: Any, behind: Any) -> None:
    headers = {"Authorization": f"Bearer {OTHERS_KEY}"}
    async with gateway.post(f"/notifications/{young()}/cancel", headers=headers) as response:
        assert response.status == 202
    assert behind.intake.orders[0].tenant == "other"
    assert behind.tracker.asked[0][1] == {"tenant": "other"}


# --- what the owner decides


async def test_the_tracker_decides_what_is_sent_again(gateway: Any, behind: Any) -> None:
    number = old()
    behind.tracker.answers[f"/notifications/{number}/resend"] = (200, {"resent": 3})
    async with gateway.post(f"/notifications/{number}/resend", headers=NATIVE) as response:
        assert (response.status, await response.json()) == (202, {"id": str(number), "resent": 3})
    path, body, params = behind.tracker.posted[0]
    assert (path, params) == (f"/notifications/{number}/resend", {"tenant": "demo"})
    assert body == {"states": None, "deliveries": None}


async def test_what_is_to_be_sent_again_can_be_named(gateway: Any, behind: Any) -> None:
    number = old()
    behind.tracker.answers[f"/notifications/{number}/resend"] = (202, {"resent": 1})
    one = delivery_id(number, 7)
    for given, passed in (
        ({"states": ["failed", "unknown", "failed"]}, {"states": ["failed", "unknown"], "deliveries": None}),
        ({"deliveries": [one.hex]}, {"states": None, "deliveries": [str(one)]}),
    ):
        async with gateway.post(f"/notifications/{number}/resend", json=given, headers=NATIVE) as response:
            assert response.status == 202
        assert behind.tracker.posted[-1][1] == passed


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"states": []}, "states"),
        ({"states": "failed"}, "states"),
        ({"states": ["flying"]}, "states"),
        ({"states": ["delivered"]}, "states"),
        ({"deliveries": []}, "deliveries"),
        ({"deliveries": ["x"]}, "deliveries"),
        ({"deliveries": [5]}, "deliveries"),
        ({"deliveries": [str(delivery_id(young(), 1))]}, "deliveries"),
        ({"everything": True}, "everything"),
    ],
)
async def test_a_resend_that_cannot_be_asked_for(gateway: Any, behind: Any, body: Any, field: str) -> None:
    async with gateway.post(f"/notifications/{old()}/resend", json=body, headers=NATIVE) as response:
        assert response.status == 422
        assert [error["field"] for error in (await response.json())["errors"]] == [field]
    assert not behind.tracker.posted


async def test_a_delivery_named_twice(gateway: Any, behind: Any) -> None:
    number = old()
    one = str(delivery_id(number, 1))
    for body in ({"deliveries": [one, one.replace("-", "")]}, {"deliveries": [one], "states": ["failed"]}):
        async with gateway.post(f"/notifications/{number}/resend", json=body, headers=NATIVE) as response:
            assert response.status == 422
    assert not behind.tracker.posted


async def test_the_owner_s_refusal_is_passed_on(gateway: Any, behind: Any) -> None:
    number = old()
    refusal = {"type": "urn:carillon:problem:nothing_failed", "detail": "Nothing of it failed.", "status": 409}
    behind.tracker.answers[f"/notifications/{number}/resend"] = (409, refusal)
    async with gateway.post(f"/notifications/{number}/resend", headers=NATIVE) as response:
        assert response.status == 409
        answer = await response.json()
        assert (answer["type"], answer["detail"]) == (refusal["type"], refusal["detail"])


async def test_a_resend_of_what_nobody_has_or_what_is_on_its_way(gateway: Any) -> None:
    for number, status in ((old(), 404), (young(), 409)):
        async with gateway.post(f"/notifications/{number}/resend", headers=NATIVE) as response:
            assert response.status == status


async def test_an_owner_that_does_not_answer_may_have_done_it(gateway: Any, behind: Any) -> None:
    behind.tracker.failure = Unavailable("slow")
    async with gateway.post(f"/notifications/{old()}/resend", headers=NATIVE) as response:
        assert (response.status, response.headers["X-Accept-Outcome"]) == (503, "unknown")


async def test_a_resend_with_a_key_is_asked_once(gateway: Any, behind: Any) -> None:
    number, keyed = old(), NATIVE | {"Idempotency-Key": "k"}
    behind.tracker.answers[f"/notifications/{number}/resend"] = (200, {"resent": 3})
    for _ in range(2):
        async with gateway.post(f"/notifications/{number}/resend", headers=keyed) as response:
            assert (response.status, (await response.json())["resent"]) == (202, 3)
    assert len(behind.tracker.posted) == 1


async def test_signing_secrets(gateway: Any, behind: Any) -> None:
    behind.itself.answers["/signing-secret"] = (200, {"secrets": ["whsec_x"]})
    async with gateway.get("/signing-secret", headers=NATIVE) as response:
        assert (response.status, await response.json()) == (200, {"secrets": ["whsec_x"]})
        assert response.headers["Cache-Control"] == "no-store"
    assert behind.itself.asked == [("/signing-secret", {"tenant": "demo"})]
    async with gateway.get("/signing-secret", headers={"Authorization": f"Bearer {READ_ONLY_KEY}"}) as response:
        assert response.status == 403


async def test_no_body_is_none_whatever_its_type(gateway: Any, behind: Any) -> None:
    headers = NATIVE | {"Content-Type": "application/octet-stream"}
    async with gateway.post(f"/notifications/{known(behind)}/pause", data=b" \n", headers=headers) as response:
        assert response.status == 202
    async with gateway.post(f"/notifications/{known(behind)}/pause", data=b"{}", headers=headers) as response:
        assert response.status == 415
    async with gateway.post(
        f"/notifications/{known(behind)}/pause",
        data=json.dumps({}),
        headers=NATIVE | {"Content-Type": "application/json"},
    ) as response:
        assert response.status == 202
