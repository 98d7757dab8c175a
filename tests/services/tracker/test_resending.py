"""What did not arrive is sent again, once, for whoever it can be."""

import asyncio
import random
from typing import Any

import pytest

from libs.contracts.commands import ExpandAudience
from libs.contracts.events import CANCELLED_RULE
from libs.contracts.ids import NotificationId, delivery_id
from libs.contracts.routing import Channel
from libs.contracts.states import DeliveryState, Gate
from libs.storage import Database
from services.tracker import resending as module
from services.tracker.handlers import TrackerHandlers
from services.tracker.repository import QueryRepository
from services.tracker.resending import NothingSuch, Refused, Resending, Resent
from services.tracker.resends import DEFAULT_STATES, RESENDABLE_STATES
from tests.services.tracker.making import (
    TENANT,
    Post,
    accepted,
    answers,
    attempted,
    controlled,
    counters_and_recount,
    expanded,
    new_id,
    planned,
    reported,
    shown,
    suppressed,
    tell,
)

pytestmark = pytest.mark.postgres
S = DeliveryState


@pytest.fixture
def resending(database: Database) -> Resending:
    return Resending(database, published=lambda: None)


async def campaign(database: Database, handlers: TrackerHandlers, failed: int = 700, **more: Any) -> NotificationId:
    """2,000 planned and 10 suppressed; every other one of the first `failed` * 2 failed, the rest was sent."""
    notification = new_id()
    await tell(database, handlers, accepted(notification, people=2010, **more))
    await tell(database, handlers, expanded(notification, 2000, 10))
    await tell(database, handlers, *(planned(notification, first, 500) for first in range(0, 2000, 500)))
    await tell(database, handlers, suppressed(notification, 2000, ["no_address"] * 10))
    for first in range(0, 2000, 500):
        outcomes = [
            (number, S.FAILED, "blocked", "")
            if number % 2 and number < failed * 2
            else (number, S.SENT, "", f"{notification.hex}{number}")
            for number in range(first, first + 500)
        ]
        await tell(database, handlers, attempted(notification, outcomes))
    return notification


async def test_what_failed_is_asked_for_once_more(
    database: Database, handlers: TrackerHandlers, books: QueryRepository, resending: Resending, post: Post
) -> None:
    notification = await campaign(database, handlers)
    assert (await shown(books, notification))["counts"] == {"failed": 700, "sent": 1300}
    assert await resending.resend((notification, TENANT), DEFAULT_STATES, None) == Resent(700, False)
    answer = await shown(books, notification)
    assert (answer["state"], answer["counts"]) == ("running", {"queued": 700, "sent": 1300})
    commands: list[ExpandAudience] = await post.collect()
    assert [len(command.recipients.numbers) for command in commands if command.recipients] == [500, 200]
    first = commands[0]
    assert first.recipients is not None
    assert first.recipients.numbers[:3] == (1, 3, 5)
    assert first.recipients.client_ids[:3] == (1001, 1003, 1005)
    assert set(first.recipients.addresses) == {None}
    assert (first.step, first.generation, first.page) == (0, 1, 1)
    assert first.notification.content.kind == "sms"
    assert first.notification.to.kind == "client_ids"
    assert first.notification.callback is None
    assert len({command.event_id for command in commands}) == 2
    with pytest.raises(Refused) as refusal:
        await resending.resend((notification, TENANT), DEFAULT_STATES, None)
    assert refusal.value.code == "nothing_to_resend"
    # The audience leaves out who has no address by now: planned goes down as suppressed goes up.
    for command in commands:
        for said in answers(command, suppress=[1, 3, 1399]):
            await tell(database, handlers, said)
    answer = await shown(books, notification)
    assert (answer["planned"], answer["suppressed"]) == (1997, 13)
    assert answer["counts"] == {"queued": 697, "sent": 1300}
    counted, held = await counters_and_recount(database, notification)
    assert counted == held
    deliveries = await books.deliveries(TENANT, notification, first=delivery_id(notification, 5), state=None, limit=1)
    assert deliveries is not None
    assert (deliveries[0].recipient.client_id, deliveries[0].recipient.address) == (1005, "+48000000005")
    assert deliveries[0].standing.fact.generation == 1


async def test_of_two_calls_at_the_same_time_one_sends(
    database: Database, handlers: TrackerHandlers, resending: Resending, post: Post
) -> None:
    notification = await campaign(database, handlers, failed=100)
    calls = [resending.resend((notification, TENANT), DEFAULT_STATES, None) for _ in range(4)]
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(isinstance(end, Refused) for end in ends) == [False, True, True, True]
    numbers = [number for command in await post.collect() for number in command.recipients.numbers]
    assert sorted(numbers) == list(range(1, 200, 2))


async def test_given_deliveries_are_sent_all_or_none(
    database: Database, handlers: TrackerHandlers, resending: Resending, post: Post
) -> None:
    notification = await campaign(database, handlers, failed=100)
    failed = [delivery_id(notification, number) for number in (7, 1, 199)]
    for wrong in (
        delivery_id(notification, 0),  # was sent
        delivery_id(notification, 5000),  # does not exist
        delivery_id(notification, 1, step=1),
        delivery_id(new_id(), 1),  # another notification's
    ):
        with pytest.raises(Refused) as refusal:
            await resending.resend((notification, TENANT), DEFAULT_STATES, [*failed, wrong])
        assert (refusal.value.code, refusal.value.deliveries) == ("not_resendable", [wrong])
    assert await post.collect() == []
    assert await resending.resend((notification, TENANT), DEFAULT_STATES, failed) == Resent(3, False)
    (command,) = await post.collect()
    assert command.recipients.numbers == (1, 7, 199)
    with pytest.raises(Refused):
        await resending.resend((notification, TENANT), DEFAULT_STATES, failed)


async def test_what_may_have_arrived_only_by_its_name(
    database: Database, handlers: TrackerHandlers, resending: Resending
) -> None:
    notification = new_id()
    await tell(database, handlers, accepted(notification))
    await tell(database, handlers, planned(notification, 0, 2))
    await tell(database, handlers, attempted(notification, [(0, S.UNKNOWN, "timeout", "")]))
    with pytest.raises(Refused):
        await resending.resend((notification, TENANT), DEFAULT_STATES, None)
    assert await resending.resend((notification, TENANT), {S.UNKNOWN}, None) == Resent(1, False)


async def test_foreign_unknown_unaccepted_and_cancelled_are_refused(
    database: Database, handlers: TrackerHandlers, resending: Resending
) -> None:
    notification = await campaign(database, handlers, failed=1)
    for nobodys in ((notification, "intruder"), (new_id(), TENANT)):
        with pytest.raises(NothingSuch):
            await resending.resend(nobodys, RESENDABLE_STATES, None)
    early = new_id()
    await tell(database, handlers, planned(early, 0, 1))
    await tell(database, handlers, attempted(early, [(0, S.FAILED, "blocked", "")]))
    with pytest.raises(Refused, match="not accepted"):
        await resending.resend((early, TENANT), DEFAULT_STATES, None)
    await tell(database, handlers, controlled(notification, Gate.CANCELLED, 1))
    with pytest.raises(Refused, match="cancelled"):
        await resending.resend((notification, TENANT), DEFAULT_STATES, None)


async def test_a_cancel_stops_what_the_audience_was_still_asked_for(
    database: Database, handlers: TrackerHandlers, books: QueryRepository, resending: Resending, post: Post
) -> None:
    notification = await campaign(database, handlers, failed=600)
    await resending.resend((notification, TENANT), DEFAULT_STATES, None)
    first, second = await post.collect()
    for said in answers(first):
        await tell(database, handlers, said)
    await tell(database, handlers, controlled(notification, Gate.CANCELLED, 1))
    assert second.recipients is not None
    for said in answers(second, suppress=second.recipients.numbers, rule=CANCELLED_RULE) * 2:
        await tell(database, handlers, said)
    answer = await shown(books, notification)
    assert (answer["state"], answer["counts"]) == ("cancelled", {"queued": 500, "sent": 1400, "cancelled": 100})


async def test_the_numbers_add_up_at_every_moment(
    database: Database, handlers: TrackerHandlers, books: QueryRepository, resending: Resending, post: Post
) -> None:
    """Rounds of resends with some left out each time, every event at a random moment and sometimes twice."""
    rng = random.Random(5)
    notification = await campaign(database, handlers, failed=200)
    waiting: list[Any] = []
    people = 2010
    for _ in range(60):
        if rng.random() < 0.2:
            try:
                await resending.resend((notification, TENANT), DEFAULT_STATES, None)
            except Refused:
                continue
            for command in await post.collect():
                out = [number for number in command.recipients.numbers if rng.random() < 0.1]
                said = answers(command, suppress=out)
                sent = [number for number in command.recipients.numbers if number not in out]
                if sent:
                    outcomes = [(number, S.FAILED if rng.random() < 0.5 else S.SENT, "", "") for number in sent]
                    said.append(attempted(notification, outcomes, generation=command.generation))
                waiting += said + [one for one in said if rng.random() < 0.3]
        elif waiting:
            await tell(database, handlers, waiting.pop(rng.randrange(len(waiting))))
        answer = await shown(books, notification)
        assert sum(answer["counts"].values()) == answer["planned"]
        assert answer["planned"] + answer["suppressed"] == people
    for message in waiting:
        await tell(database, handlers, message)
    answer = await shown(books, notification)
    assert answer["planned"] + answer["suppressed"] == people
    assert sum(answer["counts"].values()) == answer["planned"]
    counted, held = await counters_and_recount(database, notification)
    assert counted == held


async def test_recipients_by_address_are_asked_for_by_address(
    database: Database, handlers: TrackerHandlers, resending: Resending, post: Post
) -> None:
    notification = new_id()
    await tell(database, handlers, accepted(notification))
    chunk = planned(notification, 0, 2).model_copy(update={"client_ids": (None, None)})
    await tell(database, handlers, chunk)
    await tell(database, handlers, attempted(notification, [(1, S.FAILED, "blocked", "")]))
    await resending.resend((notification, TENANT), DEFAULT_STATES, None)
    (command,) = await post.collect()
    assert command.recipients.addresses == ("+48000000001",)
    assert command.recipients.client_ids == (None,)
    assert command.notification.to.addresses == ("+48000000001",)
    assert command.notification.channel is Channel.SMS


async def test_a_large_one_is_resent_part_by_part(
    database: Database,
    handlers: TrackerHandlers,
    resending: Resending,
    post: Post,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_BLOCKS", 3)
    notification = await campaign(database, handlers, failed=700)
    assert await resending.resend((notification, TENANT), DEFAULT_STATES, None) == Resent(700, False)
    numbers = [number for command in await post.collect() for number in command.recipients.numbers]
    assert sorted(numbers) == list(range(1, 1400, 2))
    given = [delivery_id(notification, number) for number in range(0, 1400, 64)]
    other = await campaign(database, handlers, failed=700)
    with pytest.raises(Refused):
        await resending.resend((notification, TENANT), DEFAULT_STATES, given)
    mine = [delivery_id(other, number) for number in range(1, 1400, 64)]
    assert await resending.resend((other, TENANT), DEFAULT_STATES, mine) == Resent(len(mine), False)
    monkeypatch.setattr(module, "PATIENCE", 0)
    first = await resending.resend((other, TENANT), DEFAULT_STATES, None)
    assert first.has_more
    rest = 0
    while (part := await resending.resend((other, TENANT), DEFAULT_STATES, None)).has_more:
        rest += part.deliveries
    assert first.deliveries + rest + part.deliveries == 700 - len(mine)


async def test_what_another_step_took_over_is_not_sent_again(
    database: Database, handlers: TrackerHandlers, resending: Resending, post: Post
) -> None:
    """0: the next step delivered; 1: it failed; 2: there was no next step for them; 3: the first arrived late."""
    notification = new_id()
    await tell(database, handlers, accepted(notification, after=[3600]))
    await tell(database, handlers, planned(notification, 0, 4), planned(notification, 0, 4, step=1, numbers=[0, 1, 3]))
    await tell(database, handlers, suppressed(notification, 2, ["no_address"], step=1))
    failed = [(number, S.FAILED, "no", "") for number in (0, 1, 2)]
    await tell(database, handlers, attempted(notification, [*failed, (3, S.SENT, "", "late")]))
    outcomes = [(0, S.SENT, "", "a"), (1, S.FAILED, "no", ""), (3, S.FAILED, "no", "")]
    await tell(database, handlers, attempted(notification, outcomes, step=1))
    await tell(database, handlers, reported([("a", S.DELIVERED, "0"), ("late", S.DELIVERED, "0")]))
    assert await resending.resend((notification, TENANT), DEFAULT_STATES, None) == Resent(2, False)
    commands = await post.collect()
    assert [(one.step, one.generation, one.recipients.numbers) for one in commands] == [(0, 1, (2,)), (1, 1, (1,))]
    assert commands[1].notification.channel is Channel.VIBER
