"""What a batch of records leads to, on real Postgres: stored once, announced each time."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.bus import Effect, Outgoing, Received
from libs.contracts.audience import ClientIds, StoredAudience
from libs.contracts.commands import ExpandAudience
from libs.contracts.content import ViberContent, WebhookContent
from libs.contracts.dead_letters import DeadLetter
from libs.contracts.events import NotificationAccepted, NotificationRejected
from libs.contracts.notification import Callback, Fallback
from libs.contracts.routing import Channel, Lane
from libs.storage import Database, DeadLetters
from services.ingest.handlers import IngestHandlers
from services.ingest.repository import ContentRepository, NotificationRepository
from services.ingest.submission import Submission
from tests.services.ingest.making import (
    DAY,
    NOW,
    TRACEPARENT,
    batch,
    cloud,
    command,
    notification,
    phones,
    plain,
    raw,
    received,
    some_id,
)

pytestmark = pytest.mark.postgres


@pytest.fixture
def handlers() -> IngestHandlers:
    return IngestHandlers(NotificationRepository(), ContentRepository(), DeadLetters("ingest"))


@pytest.fixture
def handle(handlers: IngestHandlers, database: Database) -> Any:
    async def run(records: Sequence[Received[Submission]]) -> Sequence[Outgoing]:
        async with database.transaction() as connection:
            effect: Effect = await handlers.on_send_notification(records, connection)
        if effect.committed:
            effect.committed()
        return effect.publish

    return run


def on_the_wire(outgoing: Sequence[Outgoing]) -> list[tuple[str, str, str | None]]:
    return [(one.topic.name, one.message.model_dump_json(), one.traceparent) for one in outgoing]


def topics(outgoing: Sequence[Outgoing]) -> list[str]:
    return [one.topic.name for one in outgoing]


def of(kind: type[Any], outgoing: Sequence[Outgoing]) -> list[Any]:
    return [one.message for one in outgoing if isinstance(one.message, kind)]


async def rows(database: Database, table: str, columns: str = "*") -> list[Any]:
    async with database.connection() as connection:
        return list(await connection.fetch(f"SELECT {columns} FROM ingest.{table}"))


async def test_what_is_due_is_announced_and_sent_on(handle: Any, database: Database) -> None:
    sent = command(notification())
    out = await handle(batch(sent))
    assert topics(out) == ["expand.audience.urgent", "notification.accepted"]
    (expansion,), (accepted,) = of(ExpandAudience, out), of(NotificationAccepted, out)
    assert expansion.notification == accepted.notification == sent.notifications[0]
    assert (expansion.key, accepted.key) == ("client:17", str(sent.notifications[0].notification_id))
    assert expansion.causation_id == accepted.causation_id == sent.event_id
    assert accepted.trace_id == TRACEPARENT.split("-")[1]
    assert not accepted.waits
    ((accepted_at,),) = await rows(database, "notification", "accepted_at")
    assert expansion.occurred_at == accepted.occurred_at == accepted_at


FAR = datetime(9998, 12, 31, 23, tzinfo=UTC)


@pytest.mark.parametrize("at", [datetime.now(UTC) + DAY, FAR], ids=["tomorrow", "at the end of time"])
async def test_what_comes_later_is_announced_as_waiting(handle: Any, at: datetime) -> None:
    out = await handle(batch(command(notification(at=at))))
    assert topics(out) == ["notification.accepted"]
    assert out[0].message.waits


async def test_an_instant_in_the_past_is_due(handle: Any) -> None:
    out = await handle(batch(command(notification(at=NOW - 3650 * DAY))))
    assert topics(out) == ["expand.audience.urgent", "notification.accepted"]
    assert not out[1].message.waits


async def test_a_notification_goes_on_by_its_own_lane(handle: Any) -> None:
    out = await handle(batch(command(notification(lane=Lane.BULK)), plain(lane="urgent", id="a"), lane="bulk"))
    assert topics(out) == [
        "expand.audience.bulk",
        "notification.accepted",
        "expand.audience.urgent",
        "notification.accepted",
    ]


async def test_a_call_is_split(handle: Any) -> None:
    sent = command(*(notification() for _ in range(5)))
    out = await handle(batch(sent))
    assert [message.notification for message in of(NotificationAccepted, out)] == list(sent.notifications)
    assert len({message.event_id for message in of(ExpandAudience, out)}) == 5


MIXED: list[Any] = [
    command(notification()),
    command(notification(at=datetime.now(UTC) + DAY), notification(to=phones("+48 600 100 200"))),
    plain(),
    plain(id="order-8", at="2099-12-24T18:00:00+01:00"),
    cloud(plain(id="order-9")),
    command(notification(at=NOW, expires_at=NOW)),
    plain(id="order-10", to={"addresses": ["nobody"]}),
]


async def test_a_batch_that_comes_again_is_published_again_byte_for_byte(handle: Any, database: Database) -> None:
    first = on_the_wire(await handle(batch(*MIXED)))
    before = await rows(database, "notification")
    assert on_the_wire(await handle(batch(*MIXED))) == first
    assert await rows(database, "notification") == before
    assert len(await rows(database, "dead_letter")) == 2


async def test_a_batch_cut_otherwise_leads_to_the_same_messages(handle: Any) -> None:
    first = on_the_wire(await handle(batch(*MIXED)))
    records = batch(*MIXED)
    again = [message for record in records for message in on_the_wire(await handle([record]))]
    assert sorted(again) == sorted(first)


async def test_a_command_retried_under_another_event_id_is_absorbed(handle: Any) -> None:
    one = notification()
    first = await handle(batch(command(one)))
    other_trace = TRACEPARENT.replace("4bf9", "0000")
    again = await handle(received(raw(command(one)), traceparent=other_trace))
    assert on_the_wire(again) == on_the_wire(first)


async def test_what_waited_when_it_was_accepted_waits_for_ever(handle: Any, database: Database) -> None:
    sent = command(notification(at=datetime.now(UTC) + timedelta(seconds=0.4)))
    first = on_the_wire(await handle(batch(sent)))
    async with database.connection() as connection:
        await connection.execute("SELECT pg_sleep(0.5)")
    assert on_the_wire(await handle(batch(sent))) == first
    assert [topic for topic, _, _ in first] == ["notification.accepted"]


async def test_an_internal_request_keeps_the_id_it_got(handle: Any) -> None:
    first, again, other = [
        of(NotificationAccepted, await handle(batch(record)))[0].notification.notification_id
        for record in (plain(), plain(), plain(tenant="other"))
    ]
    assert first == again != other


async def test_the_same_request_twice_in_one_batch_is_one(handle: Any, database: Database) -> None:
    one = notification()
    out = await handle(batch(plain(), plain(), command(one), command(one)))
    assert len(await rows(database, "notification")) == 2
    assert len({message.event_id for message in of(NotificationAccepted, out)}) == 2


async def conflicts(handle: Any, database: Database, *values: Any) -> list[NotificationRejected]:
    out = await handle(batch(*values))
    found: list[NotificationRejected] = of(NotificationRejected, out)
    letters = await rows(database, "dead_letter", "reason")
    assert {row["reason"] for row in letters} <= {"this id was used before for something else"}
    return found


async def test_an_id_used_for_something_else_is_refused(handle: Any, database: Database) -> None:
    one = notification()
    await handle(batch(command(one)))
    other = one.model_copy(update={"to": ClientIds(client_ids=(18,))})
    (rejected,) = await conflicts(handle, database, command(other))
    # Without notification_id: the one that has it was accepted and goes its way.
    assert (rejected.notification_id, rejected.request_id) == (None, str(one.notification_id))
    assert rejected.reason == "this id was used before for something else"
    assert len(await rows(database, "notification")) == 1


async def test_a_request_id_used_for_something_else_is_refused(handle: Any, database: Database) -> None:
    rejected = await conflicts(handle, database, plain(), plain(content={"text": "other"}))
    assert [(one.notification_id, one.request_id) for one in rejected] == [(None, "order-7")]
    assert len(await rows(database, "notification")) == 1


async def test_another_tenant_s_id_is_refused_and_shows_nothing(handle: Any, database: Database) -> None:
    one = notification()
    await handle(batch(command(one)))
    out = await handle(batch(command(one, tenant="other")))
    assert topics(out) == ["notification.rejected"]
    assert out[0].message.tenant == "other"
    assert len(await rows(database, "notification")) == 1


async def test_a_call_with_one_conflict_leaves_nothing_behind(handle: Any, database: Database) -> None:
    taken = notification()
    await handle(batch(command(taken)))
    changed = taken.model_copy(update={"at": NOW})
    sent = command(notification(), changed, notification())
    out = await handle(batch(sent))
    assert topics(out) == ["notification.rejected"] * 3
    assert [row["notification_id"] for row in await rows(database, "notification")] == [taken.notification_id]
    assert on_the_wire(await handle(batch(sent))) == on_the_wire(out)


async def test_a_refused_call_is_a_rejection_of_each_and_a_dead_letter(handle: Any, database: Database) -> None:
    sent = command(notification(), notification(at=NOW, expires_at=NOW))
    out = await handle(batch(sent))
    rejected = of(NotificationRejected, out)
    assert [one.notification_id for one in rejected] == [one.notification_id for one in sent.notifications]
    assert {(one.origin, one.reason, one.occurred_at) for one in rejected} == {
        ("native", "notifications.1.expires_at: not after at", sent.occurred_at)
    }
    (letter,) = await rows(database, "dead_letter")
    assert letter["value"] == sent.model_dump_json().encode()
    assert (letter["topic"], letter["partition"], letter["record_offset"]) == ("send.notification.urgent", 3, 0)
    assert not await rows(database, "notification")


async def test_words_of_another_channel_are_a_rejection_and_stop_nobody(handle: Any, database: Database) -> None:
    mixed = [
        notification(channel=Channel.VIBER),
        notification(channel=Channel.WEBHOOK, content=WebhookContent(body=""), to=ClientIds(client_ids=(1,))),
        notification(fallback=(Fallback(channel=Channel.WEBHOOK, after=DAY, content=WebhookContent(body="")),)),
        notification(callback=Callback(url="https://169.254.169.254/", dialect="native")),
    ]
    outgoing = await handle(batch(*(command(one) for one in mixed), command(good := notification())))
    rejected, accepted = of(NotificationRejected, outgoing), of(NotificationAccepted, outgoing)
    assert [one.notification_id for one in rejected] == [one.notification_id for one in mixed]
    assert [one.notification.notification_id for one in accepted] == [good.notification_id]
    assert len(await rows(database, "dead_letter")) == len(mixed)


async def test_what_was_asked_comes_back_whole_from_the_table(handle: Any) -> None:
    asked = notification(
        at=NOW - DAY,
        wall="2026-11-21T12:30:00",
        zone="Europe/Minsk",
        fallback=(Fallback(channel=Channel.VIBER, after=DAY, content=ViberContent(text="hi")),),
        callback=Callback(url="https://hooks.example.com/a", dialect="native", data={"order": "81"}),
    )
    call = command(asked)
    for _ in range(2):
        outgoing = await handle(batch(call))
        for kind in (ExpandAudience, NotificationAccepted):
            assert [one.notification for one in of(kind, outgoing)] == [asked]


async def test_a_long_list_travels_on_by_its_hash(handle: Any, database: Database) -> None:
    ids = list(range(100_000))
    out = await handle(batch(plain(to={"client_ids": ids}), lane="bulk"))
    (accepted,) = of(NotificationAccepted, out)
    assert isinstance(accepted.notification.to, StoredAudience)
    ((body, named_at),) = await rows(database, "content", "body, named_at")
    assert json.loads(body) == {"kind": "client_ids", "client_ids": ids}
    assert named_at is not None
    assert all(len(message) < 2_000 for _, message, _ in on_the_wire(out))


async def test_a_list_that_nobody_stored_is_refused(handle: Any, database: Database) -> None:
    reference = StoredAudience(sha256="ab" * 32, size=300_000, count=20_000)
    out = await handle(batch(command(notification(lane=Lane.BULK, to=reference))))
    assert topics(out) == ["notification.rejected"]
    assert out[0].message.reason == "a stored body is not known"


async def test_another_tenant_s_list_is_not_known(handle: Any) -> None:
    out = await handle(batch(plain(to={"client_ids": list(range(100_000))}), lane="bulk"))
    reference = of(NotificationAccepted, out)[0].notification.to
    theirs = command(notification(lane=Lane.BULK, to=reference), tenant="other")
    assert topics(await handle(batch(theirs))) == ["notification.rejected"]
    ours = command(notification(lane=Lane.BULK, to=reference))
    assert topics(await handle(batch(ours))) == ["expand.audience.bulk", "notification.accepted"]


def letter(value: bytes | None) -> DeadLetter:
    return DeadLetter("send.notification.bulk", 3, 41, None, value, [], "Unreadable", "not JSON in UTF-8", NOW)


UNREADABLE: dict[str, tuple[bytes | None, tuple[str, str | None]]] = {
    "nothing to go by": (b"\xff", ("platform", None)),
    "a tombstone": (None, ("platform", None)),
    "a list": (b"[1]", ("platform", None)),
    "sender and id": (json.dumps(plain(channel="pigeon")).encode(), ("demo", "order-7")),
    "in an envelope": (json.dumps(cloud(plain(channel="pigeon"))).encode(), ("demo", "order-7")),
    "a sender that is none": (json.dumps(plain(tenant="Demo!")).encode(), ("platform", "order-7")),
    "an id that is none": (json.dumps(plain(id=[1])).encode(), ("demo", None)),
    "an id too long": (json.dumps(plain(id="x" * 256)).encode(), ("demo", None)),
}


@pytest.mark.parametrize(("value", "sender"), UNREADABLE.values(), ids=UNREADABLE)
def test_the_sender_of_an_unreadable_record_is_told(
    handlers: IngestHandlers, value: bytes | None, sender: tuple[str, str | None]
) -> None:
    first, again = handlers.on_unreadable(letter(value)), handlers.on_unreadable(letter(value))
    assert on_the_wire(first) == on_the_wire(again)
    (event,) = of(NotificationRejected, first)
    assert (event.tenant, event.request_id) == sender
    assert (event.origin, event.occurred_at) == ("send.notification.bulk/3/41", NOW)
    assert event.reason == "Unreadable: not JSON in UTF-8"


def test_each_id_of_an_unreadable_call_is_answered_for(handlers: IngestHandlers) -> None:
    ids = [some_id(), some_id()]
    call = {"tenant": "demo", "notifications": [{"notification_id": str(one)} for one in ids] + [7, {}]}
    events = of(NotificationRejected, handlers.on_unreadable(letter(json.dumps(call).encode())))
    assert [event.notification_id for event in events] == ids
    assert len({event.event_id for event in events}) == 2
