"""Asking the audience once more: the commands, and what of a notification they need."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.audience import Addresses, ClientIds
from libs.contracts.commands import ExpandAudience
from libs.contracts.content import StoredContent
from services.tracker.asking import Asked, Recipient, commands, read, written
from tests.services.tracker.making import NOON, TENANT, accepted, new_id

KNOWN = Recipient("sms", 7, "+48")


def test_what_is_kept_of_a_notification_is_everything_but_its_recipients() -> None:
    notification = accepted(new_id(), at=NOON, after=[1.5, 60], callback=True).notification
    notification = notification.model_copy(
        update={"content": StoredContent(sha256="a" * 64, size=9), "ordering_key": "o", "expires_at": NOON}
    )
    body = written(notification)
    assert "client_ids" not in body
    assert read(body, notification.to) == notification


@given(st.integers(1, 1203), st.integers(1, 15), st.integers(0, 255))
def test_everybody_is_asked_for_once_and_at_most_500_at_a_time(count: int, step: int, generation: int) -> None:
    notification = accepted(new_id(), after=[1] * 15).notification
    asked = [Asked(number * 3, Recipient("sms", number, "+48")) for number in range(count)]
    body = written(notification)
    found = list(commands(body, TENANT, asked, step=step, generation=generation, at=NOON))
    numbers = [number for one in found if one.recipients for number in one.recipients.numbers]
    assert numbers == [one.number for one in asked]
    assert {one.notification.channel.value for one in found} == {"viber"}
    assert len({one.event_id for one in found}) == len(found) == -(-count // 500)
    assert [one.event_id for one in commands(body, TENANT, asked, step=step, generation=generation, at=NOON)] == [
        one.event_id for one in found
    ]


@pytest.mark.parametrize(
    ("recipient", "to", "address"),
    [
        (Recipient("sms", 7, "+48"), ClientIds(client_ids=(7,)), None),
        (Recipient("sms", None, "+48"), Addresses(addresses=("+48",)), "+48"),
        (Recipient("sms", 0, None), ClientIds(client_ids=(0,)), None),
    ],
)
def test_who_is_known_is_looked_up_afresh(recipient: Recipient, to: object, address: str | None) -> None:
    body = written(accepted(new_id()).notification)
    (command,) = commands(body, TENANT, [Asked(3, recipient)], step=0, generation=1, at=NOON + timedelta(hours=1))
    assert command.recipients is not None
    assert (command.notification.to, command.recipients.addresses) == (to, (address,))
    assert ExpandAudience.model_validate_json(command.model_dump_json()) == command


def test_the_key_is_the_one_of_the_first_time() -> None:
    one, several = new_id(), new_id()
    body = written(accepted(one, people=1).notification)
    (command,) = commands(body, TENANT, [Asked(0, KNOWN)], step=0, generation=1, at=NOON)
    assert command.key == "client:7"
    two = [Asked(0, KNOWN), Asked(1, Recipient("sms", 8, "+49"))]
    (command,) = commands(written(accepted(several).notification), TENANT, two, step=0, generation=1, at=NOON)
    assert command.key == str(several)
