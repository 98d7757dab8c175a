"""What every model on the bus keeps to, and the limits of each."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from pydantic import TypeAdapter, ValidationError

from libs.contracts import audience, commands, content, events
from libs.contracts.envelope import Message
from libs.contracts.ids import NotificationId, chunk_id
from libs.contracts.model import Model
from libs.contracts.notification import Notification, order_key
from libs.contracts.routing import Channel, Lane, MessageClass

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
ID = NotificationId(UUID("019a3c5e-7b20-7a11-9c0d-3f2200000000"))
ENVELOPE: dict[str, Any] = {"event_id": UUID(int=1), "tenant": "demo", "key": "k", "occurred_at": AT}
SECRET = "+48600100200"


def notification(**changes: Any) -> Notification:
    values: dict[str, Any] = {
        "notification_id": ID,
        "lane": Lane.BULK,
        "channel": Channel.SMS,
        "to": audience.ClientIds(client_ids=(1, 2)),
        "content": content.SmsContent(text="hello"),
        "message_class": MessageClass.BULK,
    }
    return Notification(**{**values, **changes})


def models(base: type[Model] = Model) -> list[type[Model]]:
    return [found for child in base.__subclasses__() for found in (child, *models(child))]


CONTRACTS = [model for model in models() if model.__module__.startswith("libs.contracts")]


@pytest.mark.parametrize("model", CONTRACTS, ids=lambda model: model.__name__)
def test_every_model_is_frozen_passes_over_the_unknown_and_hides_input(model: type[Model]) -> None:
    config = model.model_config
    assert (config["frozen"], config["extra"], config["hide_input_in_errors"]) == (True, "ignore", True)


def test_a_model_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        notification().lane = Lane.URGENT  # type: ignore[misc]


def test_an_error_does_not_show_what_was_given() -> None:
    with pytest.raises(ValidationError) as caught:
        audience.Addresses.model_validate({"addresses": [{"phone": SECRET}]})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("tenant", ["", "Demo", "-a", "a b", "a" * 64, "ü", "a\n"])
def test_a_tenant_that_is_no_tenant_is_refused(tenant: str) -> None:
    with pytest.raises(ValidationError):
        events.NotificationExpanded(**{**ENVELOPE, "tenant": tenant}, notification_id=ID, planned=0, suppressed=0)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError):
        notification(at=datetime(2026, 11, 22))  # noqa: DTZ001 - on purpose


@pytest.mark.parametrize("value", [True, "1", 1.0, -1, 2**63, None])
def test_what_is_not_a_client_id_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        audience.ClientIds.model_validate({"client_ids": [value]})


@pytest.mark.parametrize("ids", [[], list(range(audience.MAX_LISTED + 1))], ids=["none", "too many"])
def test_a_list_has_one_to_a_hundred_thousand(ids: list[int]) -> None:
    with pytest.raises(ValidationError):
        audience.ClientIds.model_validate({"client_ids": ids})


@pytest.mark.parametrize("text", ["", "x" * (content.MAX_SMS_CHARACTERS + 1)], ids=["empty", "too long"])
def test_a_text_has_its_limits(text: str) -> None:
    with pytest.raises(ValidationError):
        content.SmsContent(text=text)


@pytest.mark.parametrize("kind", [None, "carrier_pigeon"])
def test_an_unknown_kind_is_refused(kind: str | None) -> None:
    document = {"kind": kind, "text": "hello"} if kind else {"text": "hello"}
    with pytest.raises(ValidationError):
        TypeAdapter(content.Content).validate_python(document)


def columns(model: type[Message], **values: Any) -> Message:
    return model.model_validate({**ENVELOPE, "notification_id": ID, "channel": "sms", **values})


CHUNK = {"chunk_id": chunk_id(ID, 0), "lane": "bulk", "message_class": "bulk", "first_number": 0}
WINDOW = {"chunk_id": chunk_id(ID, 0), "claim_id": UUID(int=2), "lane": "bulk", "provider": "p", "finished_at": AT}
REPORTS = {"provider": "p", "received_at": AT}
COLUMNS: list[tuple[type[Message], dict[str, Any], dict[str, list[Any]]]] = [
    (
        commands.SendDeliveries,
        CHUNK | {"content": {"kind": "sms", "text": "x"}},
        {"client_ids": [1, None], "addresses": ["a", "b"]},
    ),
    (events.DeliverySuppressed, {"first_number": 0}, {"client_ids": [1, None], "rules": ["a", "b"]}),
    (
        events.DeliveryAttempted,
        WINDOW,
        {
            "numbers": [0, 1],
            "attempts": [1, 1],
            "states": ["sent", "failed"],
            "reasons": ["", "x"],
            "provider_message_ids": ["a", ""],
        },
    ),
    (
        events.ReceiptReceived,
        REPORTS,
        {
            "provider_message_ids": ["a", "b"],
            "states": ["delivered", "failed"],
            "codes": ["0", "1"],
            "reported_at": [AT, AT],
        },
    ),
]


@pytest.mark.parametrize(("model", "common", "lists"), COLUMNS, ids=[case[0].__name__ for case in COLUMNS])
def test_columns_must_have_one_length(
    model: type[Message], common: dict[str, Any], lists: dict[str, list[Any]]
) -> None:
    columns(model, **common, **lists)
    for name, column in lists.items():
        with pytest.raises(ValidationError, match="differ in length"):
            columns(model, **common, **{**lists, name: column[:1]})


def test_a_chunk_holds_at_most_five_hundred() -> None:
    common = CHUNK | {"content": {"kind": "sms", "text": "x"}}
    columns(commands.SendDeliveries, **common, client_ids=[1] * 500, addresses=["a"] * 500)
    with pytest.raises(ValidationError):
        columns(commands.SendDeliveries, **common, client_ids=[1] * 501, addresses=["a"] * 501)


ORDER_KEYS: list[tuple[str, dict[str, Any], str]] = [
    ("its own key", {"ordering_key": "visit-1", "to": audience.ClientIds(client_ids=(5,))}, "visit-1"),
    ("one person", {"to": audience.ClientIds(client_ids=(5,))}, "client:5"),
    ("several people", {"to": audience.ClientIds(client_ids=(5, 6))}, str(ID)),
    ("several addresses", {"to": audience.Addresses(addresses=(SECRET, "+48600100201"))}, str(ID)),
    ("a stored list", {"to": audience.StoredAudience(sha256="a" * 64, size=1, count=1)}, str(ID)),
]


@pytest.mark.parametrize(
    ("changes", "expected"), [case[1:] for case in ORDER_KEYS], ids=[case[0] for case in ORDER_KEYS]
)
def test_what_keeps_the_order(changes: dict[str, Any], expected: str) -> None:
    assert order_key(notification(**changes)) == expected


def test_a_single_address_is_a_key_without_showing_itself() -> None:
    found = order_key(notification(to=audience.Addresses(addresses=(SECRET,))))
    assert found == order_key(notification(to=audience.Addresses(addresses=(SECRET,)), message_class="otp"))
    assert SECRET not in found
    assert found != order_key(notification(to=audience.Addresses(addresses=("+48600100201",))))
