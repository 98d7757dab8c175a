"""The rules between a notification's fields, one row each."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.audience import Addresses, ClientIds, StoredAudience
from libs.contracts.content import SmsContent, StoredContent, ViberContent, WebhookContent
from libs.contracts.notification import Callback, Fallback
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.phones import MAX_FORMATTED
from services.ingest.validation import MAX_URGENT, MAX_URLS, Invalid, validated
from tests.services.ingest.making import DAY, NOW, notification, phones

HOOK = "https://hooks.example.com/a"
WEBHOOK: dict[str, Any] = {
    "channel": Channel.WEBHOOK,
    "content": WebhookContent(body="{}"),
    "to": phones(HOOK),
    "message_class": MessageClass.WEBHOOK,
}
SMS = SmsContent(text="hi")
STEP = Fallback(channel=Channel.VIBER, after=timedelta(seconds=5), content=ViberContent(text="hi"))

ACCEPTED: dict[str, dict[str, Any]] = {
    "one person": {},
    "later": {"at": NOW + DAY},
    "long past": {"at": NOW - 365 * DAY},
    "with an end": {"expires_at": NOW + DAY},
    "with an end after its start": {"at": NOW, "expires_at": NOW + timedelta(microseconds=1)},
    "a phone": {"to": phones("+48600100200")},
    "a long list on the bulk lane": {"lane": Lane.BULK, "to": ClientIds(client_ids=tuple(range(MAX_URGENT + 1)))},
    "a stored list on the bulk lane": {"lane": Lane.BULK, "to": StoredAudience(sha256="a" * 64, size=1, count=100_000)},
    "as many as may be urgent": {"to": ClientIds(client_ids=tuple(range(MAX_URGENT)))},
    "a Viber message": {"channel": Channel.VIBER, "content": ViberContent(text="hi"), "to": phones("+48600100200")},
    "a webhook": WEBHOOK,
    "a webhook to a stored list": WEBHOOK
    | {"lane": Lane.BULK, "to": StoredAudience(sha256="a" * 64, size=1, count=MAX_URLS)},
    "a webhook to this machine": WEBHOOK | {"to": phones("http://127.0.0.1:8025/hooks/a")},
    "by the clocks of a zone": {"at": NOW, "wall": "2026-11-22T12:30:00", "zone": "Europe/Minsk"},
    "with what follows": {"fallback": (STEP, STEP.model_copy(update={"channel": Channel.SMS, "content": SMS}))},
    "with somebody to tell": {"callback": Callback(url=HOOK, dialect="native")},
}


@pytest.mark.parametrize("changes", ACCEPTED.values(), ids=ACCEPTED)
def test_what_is_in_order_stays_as_it_is(changes: dict[str, Any]) -> None:
    given_one = notification(**changes)
    assert validated(given_one) is given_one


NO_PHONE = "to.addresses.0: not a possible international phone number"
EAST = timezone(timedelta(hours=14))
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "ends as it starts": ({"at": NOW, "expires_at": NOW}, "expires_at: not after at"),
    "ends before it starts": ({"at": NOW, "expires_at": NOW - DAY}, "expires_at: not after at"),
    "at the beginning of time": ({"at": datetime(1, 1, 1, tzinfo=EAST)}, "at: outside the years 1971 to 9998"),
    "at the end of time": (
        {"expires_at": datetime(9999, 12, 31, tzinfo=UTC)},
        "expires_at: outside the years 1971 to 9998",
    ),
    "too many for urgent": (
        {"to": ClientIds(client_ids=tuple(range(MAX_URGENT + 1)))},
        "lane: more than 500 recipients are not urgent",
    ),
    "a stored list for urgent": (
        {"to": StoredAudience(sha256="a" * 64, size=1, count=501)},
        "lane: more than 500 recipients are not urgent",
    ),
    "content of another channel": (
        {"content": StoredContent(sha256="a" * 64, size=300_000)},
        "content: does not fit the channel sms",
    ),
    "not a phone": (
        {"to": phones("+48600100200", "call me")},
        "to.addresses.1: not a possible international phone number",
    ),
    "an impossible phone": ({"to": phones("+48 12")}, NO_PHONE),
    "a plain one of a length that Poland does not have": (
        {"to": phones("+4860010")},
        NO_PHONE,
    ),
    "a plain one of no country": (
        {"to": phones("+999600100200")},
        NO_PHONE,
    ),
    "an extension": (
        {"to": phones("+48600100200 ext. 5")},
        NO_PHONE,
    ),
    "one without its country": (
        {"to": phones("600100200")},
        NO_PHONE,
    ),
    "an e-mail": ({"to": phones("a@example.org")}, NO_PHONE),
    "an SMS in a Viber message": (
        {"channel": Channel.VIBER},
        "content: does not fit the channel viber",
    ),
    "a Viber message in an SMS": ({"content": ViberContent(text="hi")}, "content: does not fit the channel sms"),
    "a Viber message to nobody's phone": (
        {"channel": Channel.VIBER, "content": ViberContent(text="hi"), "to": phones(HOOK)},
        NO_PHONE,
    ),
    "a webhook to people": (
        WEBHOOK | {"to": ClientIds(client_ids=(1,))},
        "to.client_ids: a webhook goes to URLs, given as addresses",
    ),
    "a webhook to a phone": (
        WEBHOOK | {"to": phones(HOOK, "+48600100200")},
        "to.addresses.1: cannot be called, it is no URL",
    ),
    "a webhook within": (
        WEBHOOK | {"to": phones("https://10.0.0.1/")},
        "to.addresses.0: cannot be called, its host is not a public address",
    ),
    "a webhook to too many": (
        WEBHOOK | {"lane": Lane.BULK, "to": phones(*(f"https://h{n}.example.com/" for n in range(MAX_URLS + 1)))},
        "to: a webhook goes to at most 1000 URLs",
    ),
    "the class of a webhook elsewhere": (
        {"message_class": MessageClass.WEBHOOK},
        "message_class: webhook is for the channel webhook alone",
    ),
    "something after a webhook": (
        WEBHOOK | {"fallback": (STEP,)},
        "fallback: nothing can follow on the channel webhook",
    ),
    "a webhook after something": (
        {"fallback": (STEP, STEP.model_copy(update={"channel": Channel.WEBHOOK}))},
        "fallback.1.channel: webhook can follow nothing",
    ),
    "other content in what follows": (
        {"fallback": (STEP.model_copy(update={"content": SMS}),)},
        "fallback.0.content: does not fit the channel viber",
    ),
    "nobody to tell": (
        {"callback": Callback(url="http://hooks.example.com/", dialect="native")},
        "callback.url: cannot be called, it is not https",
    ),
    "a time of no zone": ({"at": NOW, "wall": "2026-11-22T12:30:00"}, "wall: comes with zone and at"),
    "a time of nowhere": (
        {"at": NOW, "wall": "2026-11-22T12:30:00", "zone": "Mars/Olympus"},
        "wall: is no time of this zone",
    ),
    "no time of a zone": (
        {"at": NOW, "wall": "soon", "zone": "Europe/Minsk"},
        "wall: is no time of this zone",
    ),
    "too many to put into form": (
        {"lane": Lane.BULK, "to": Addresses(addresses=("+48 600100200",) * (MAX_FORMATTED + 1))},
        "to.addresses: more than 1000 numbers that are not written as +48501234567",
    ),
}


@pytest.mark.parametrize(("changes", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_breaks_a_rule_is_refused_with_the_rule(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Invalid) as caught:
        validated(notification(**changes))
    assert str(caught.value) == reason


def test_phones_get_one_form_and_stand_once() -> None:
    result = validated(notification(to=phones("+48 600-100-200", "+375291234567", "+48600100200")))
    assert result.to == phones("+48600100200", "+375291234567")


def test_only_so_many_need_to_be_put_into_form() -> None:
    plain = tuple(f"+48600{number:06}" for number in range(2 * MAX_FORMATTED))
    formatted = tuple(f"+48 601{number:06}" for number in range(MAX_FORMATTED))
    result = validated(notification(lane=Lane.BULK, to=Addresses(addresses=plain + formatted)))
    assert result.to == Addresses(addresses=plain + tuple(number.replace(" ", "") for number in formatted))


@given(st.text(min_size=1, max_size=320))
def test_any_address_becomes_a_phone_or_is_refused_without_repeating_it(address: str) -> None:
    try:
        result = validated(notification(to=phones(address)))
    except Invalid as error:
        assert str(error) == NO_PHONE
    else:
        assert validated(result) is result


def test_urls_get_one_form_and_stand_once() -> None:
    result = validated(notification(**WEBHOOK | {"to": phones("HTTPS://hooks.example.com:443/a", HOOK)}))
    assert result.to == phones(HOOK)
    result = validated(notification(callback=Callback(url="https://bücher.example", dialect="native", data={"a": "b"})))
    assert result.callback == Callback(url="https://xn--bcher-kva.example/", dialect="native", data={"a": "b"})


@given(st.text(min_size=1, max_size=2048))
def test_any_address_can_be_called_or_is_refused_without_repeating_it(address: str) -> None:
    try:
        result = validated(notification(**WEBHOOK | {"to": phones(address)}))
    except Invalid as error:
        assert str(error).startswith("to.addresses.0: cannot be called, it")
        assert len(str(error)) < 120
    else:
        assert validated(result) is result
