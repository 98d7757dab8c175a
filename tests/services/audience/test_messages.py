"""What a frozen page says on the bus."""

from collections.abc import Callable
from datetime import UTC, datetime

from libs.contracts.commands import ExpandAudience, SendDeliveries
from libs.contracts.content import StoredContent
from libs.contracts.events import DeliverySuppressed, NotificationExpanded
from libs.contracts.ids import event_id
from libs.contracts.routing import Lane
from libs.contracts.topics import DELIVERY_SUPPRESSED, EXPAND_AUDIENCE, SEND_SMS
from services.audience.messages import FrozenPage, Totals, messages_of
from services.audience.planning import PagePlan, PlannedChunk, Rule, SuppressedChunk

DECIDED_AT = datetime(2026, 11, 22, 12, 0, 1, tzinfo=UTC)
PLAN = PagePlan(
    first_number=4,
    next_number=8,
    next_cursor=None,
    chunks=(PlannedChunk(2, 4, [7], ["+48600000007"]), PlannedChunk(5, 5, [8], ["+48600000008"])),
    suppressed=(SuppressedChunk(6, [9, 10], [None, None], [Rule.NO_PHONE, Rule.UNKNOWN_CLIENT]),),
)


def test_the_last_page_ends_with_the_totals_of_all_pages(ask: Callable[..., ExpandAudience]) -> None:
    said = list(messages_of(ask([7, 8, 9, 10]), FrozenPage(PLAN, DECIDED_AT, Totals(3, 1))))
    assert [type(one.message) for one in said] == [
        SendDeliveries,
        SendDeliveries,
        DeliverySuppressed,
        NotificationExpanded,
    ]
    assert [(one.topic, one.partition) for one in said[:3]] == [
        (SEND_SMS.bulk, 2),
        (SEND_SMS.bulk, 5),
        (DELIVERY_SUPPRESSED, None),
    ]
    totals = said[-1].message
    assert isinstance(totals, NotificationExpanded)
    assert (totals.planned, totals.suppressed) == (5, 3)


def test_what_is_derived_takes_nothing_from_the_clock_or_from_chance(ask: Callable[..., ExpandAudience]) -> None:
    command = ask([7, 8, 9, 10])
    said = [one.message for one in messages_of(command, FrozenPage(PLAN, DECIDED_AT))]
    assert [message.event_id for message in said] == [
        event_id(command.event_id, "send.deliveries", 4),
        event_id(command.event_id, "send.deliveries", 5),
        event_id(command.event_id, "delivery.suppressed", 6),
        event_id(command.event_id, "notification.expanded", "0:0"),
    ]
    assert {message.occurred_at for message in said} == {DECIDED_AT}
    assert {message.causation_id for message in said} == {command.event_id}


def test_the_next_page_goes_on_where_this_one_ended(ask: Callable[..., ExpandAudience]) -> None:
    command = ask([7, 8, 9, 10], lane=Lane.URGENT, ordering_key="booking 7")
    plan = PagePlan(0, 4, "4", PLAN.chunks, PLAN.suppressed)
    *_, last = messages_of(command, FrozenPage(plan, DECIDED_AT))
    assert last.topic is EXPAND_AUDIENCE.urgent
    assert isinstance(last.message, ExpandAudience)
    assert (last.message.page, last.message.cursor, last.message.next_number) == (1, "4", 4)
    assert last.message.key == command.key == "booking 7"
    assert last.message.notification == command.notification


def test_big_content_stays_a_reference(ask: Callable[..., ExpandAudience]) -> None:
    content = StoredContent(sha256="0" * 64, size=300_000)
    sent = next(messages_of(ask([7], content=content), FrozenPage(PLAN, DECIDED_AT))).message
    assert isinstance(sent, SendDeliveries)
    assert sent.content == content
