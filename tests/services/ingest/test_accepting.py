"""What is stored of a call."""

import hashlib
import json
from dataclasses import replace

import pytest

from libs.contracts.audience import Addresses, ClientIds, StoredAudience
from libs.contracts.content import INLINE_LIMIT_BYTES, SmsContent, StoredContent, ViberContent
from libs.contracts.notification import Fallback, Notification
from libs.contracts.routing import Channel, Lane
from services.ingest.accepting import body_hash, judge, lightened, references
from tests.services.ingest.making import DAY, NOW, TRACEPARENT, batch, command, notification, phones, plain


def test_the_hash_is_of_what_was_asked_and_not_of_the_id() -> None:
    assert body_hash(notification()) == body_hash(notification())


@pytest.mark.parametrize(
    "other",
    [
        notification(to=ClientIds(client_ids=(18,))),
        notification(content=SmsContent(text="bye")),
        notification(at=NOW),
        notification(at=NOW + DAY),
        notification(lane=Lane.BULK),
        notification(external={"sms_id": "1"}),
        notification(to=phones("17")),
    ],
)
def test_the_hash_sees_every_difference(other: Notification) -> None:
    assert body_hash(other) != body_hash(notification())


def test_the_hash_is_the_same_in_every_release() -> None:
    """Rows of earlier releases hold it: a new field with a default must not change it."""
    assert body_hash(notification()).hex() == "26b3414fb010f0c32146855f154c7b0dfc0734d12d017ea1c6cfc2eb5a7acf35"


def test_another_release_of_the_zones_does_not_make_it_another_request() -> None:
    wall = {"wall": "2030-03-31T02:30:00", "zone": "Europe/Warsaw"}
    asked = notification(at=NOW, **wall)
    assert body_hash(asked) == body_hash(notification(at=NOW + DAY, **wall))
    assert body_hash(asked) != body_hash(notification(at=NOW, **wall | {"wall": "2030-03-31T02:31:00"}))
    assert body_hash(asked) != body_hash(notification(at=NOW, **wall | {"zone": "Europe/Minsk"}))


def test_what_follows_may_be_kept_apart_too() -> None:
    stored = StoredContent(sha256="b" * 64, size=300_000)
    step = Fallback(channel=Channel.VIBER, after=DAY, content=ViberContent(text="hi"))
    (record,) = batch(command(notification(fallback=(step,))))
    (entry,) = judge(record.message, None).entries
    assert list(references([entry])) == []
    later = entry.notification.model_copy(update={"fallback": (step.model_copy(update={"content": stored}),)})
    assert list(references([replace(entry, notification=later)])) == [("demo", "b" * 64)]


def test_a_call_is_refused_as_a_whole() -> None:
    bad = notification(at=NOW, expires_at=NOW)
    (record,) = batch(command(notification(), bad, notification()))
    call = judge(record.message, TRACEPARENT)
    assert (call.entries, call.reason) == ((), "notifications.1.expires_at: not after at")


def test_the_hash_is_of_the_numbers_as_they_were_written() -> None:
    (record,) = batch(plain(to={"addresses": ["+48 600 100 200"]}))
    (entry,) = judge(record.message, None).entries
    assert entry.notification.to == phones("+48600100200")
    assert entry.body_hash == body_hash(record.message.notifications[0])


LONG_IDS = ClientIds(client_ids=tuple(range(10**18, 10**18 + 20_000)))
LONG_PHONES = Addresses(addresses=tuple(f"+4860{number:07}" for number in range(20_000)))


@pytest.mark.parametrize("to", [LONG_IDS, LONG_PHONES], ids=["ids", "phones"])
def test_a_long_list_is_kept_apart(to: ClientIds | Addresses) -> None:
    light, blob = lightened(notification(to=to), "demo")
    assert blob is not None
    assert (blob.tenant, blob.sha256) == ("demo", hashlib.sha256(blob.body).hexdigest())
    assert light.to == StoredAudience(sha256=blob.sha256, size=len(blob.body), count=20_000)
    assert type(to).model_validate_json(blob.body) == to
    assert len(light.model_dump_json()) < 1_000


@pytest.mark.parametrize("count", [1, 500, 13_000, 13_200, 20_000])
def test_what_stays_is_never_over_the_limit(count: int) -> None:
    to = ClientIds(client_ids=LONG_IDS.client_ids[:count])
    light, blob = lightened(notification(to=to), "demo")
    assert (blob is None) == (len(to.model_dump_json()) <= INLINE_LIMIT_BYTES)
    assert len(json.dumps(light.to.model_dump())) < 1.2 * INLINE_LIMIT_BYTES
