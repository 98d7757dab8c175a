"""A fallback or a resend, from its command to what is published, on a real Postgres."""

from collections.abc import Awaitable, Callable

import pytest

from libs.bus import Outgoing
from libs.contracts.audience import Addresses
from libs.contracts.commands import ExpandAudience, Recipients, SendDeliveries
from libs.contracts.events import DeliverySuppressed, NotificationExpanded
from libs.contracts.ids import chunk_id
from libs.contracts.routing import Channel, Lane
from libs.contracts.topics import SEND_VIBER, SEND_WEBHOOK
from tests.services.audience.saying import of_type, wire_bytes

pytestmark = pytest.mark.postgres

ANNA, JAN, URL = "+48600000001", "+48600000002", "https://example.com/hook"

Ask = Callable[..., ExpandAudience]
Run = Callable[..., Awaitable[list[Outgoing]]]
Save = Callable[..., Awaitable[None]]


SOME = Recipients(numbers=(500, 517, 600), client_ids=(1, None, 3), addresses=(None, JAN, None))


async def test_recipients_keep_their_numbers(ask: Ask, run: Run, save: Save) -> None:
    await save({1: ANNA, 3: None})
    command = ask([1, 2, 3], recipients=SOME, step=1, channel=Channel.VIBER, lane=Lane.URGENT)
    published = await run(command)
    sent, (suppressed,), (expanded,) = (
        of_type(published, kind) for kind in (SendDeliveries, DeliverySuppressed, NotificationExpanded)
    )
    by_number = {
        chunk.number_at(ordinal): (chunk.client_ids[ordinal], chunk.addresses[ordinal])
        for chunk in sent
        for ordinal in range(len(chunk.addresses))
    }
    assert by_number == {500: (1, ANNA), 517: (None, JAN)}
    number = command.notification.notification_id
    for chunk in sent:
        assert chunk.numbers is not None
        assert chunk.first_number == chunk.numbers[0]
        assert chunk.chunk_id == chunk_id(number, chunk.numbers[0], step=1)
        assert (chunk.step, chunk.generation, chunk.channel) == (1, 0, Channel.VIBER)
    assert {outgoing.topic for outgoing in published if isinstance(outgoing.message, SendDeliveries)} == {
        SEND_VIBER.urgent
    }
    assert (suppressed.numbers, suppressed.first_number, suppressed.client_ids) == ((600,), 600, (3,))
    assert suppressed.rules == ("no_phone",)
    assert (suppressed.step, suppressed.channel) == (1, Channel.VIBER)
    assert (expanded.planned, expanded.suppressed, expanded.part, expanded.step) == (2, 1, 500, 1)


async def test_a_redelivered_command_says_the_same_whatever_has_changed(ask: Ask, run: Run, save: Save) -> None:
    await save({1: ANNA, 3: None})
    command = ask([1, 2, 3], recipients=SOME, generation=1)
    first = await run(command)
    await save({1: None, 3: ANNA})
    assert wire_bytes(await run(command)) == wire_bytes(first)


async def test_parts_of_one_generation_stand_beside_each_other(ask: Ask, run: Run, save: Save) -> None:
    await save({1: ANNA, 2: JAN})
    first = ask([1, 2], generation=1, recipients=Recipients(numbers=(0,), client_ids=(1,), addresses=(None,)))
    second = ask(
        [1, 2],
        generation=1,
        recipients=Recipients(numbers=(1,), client_ids=(2,), addresses=(None,)),
        notification_id=first.notification.notification_id,
    )
    published = await run(first, second)
    assert [(one.part, one.planned, one.suppressed) for one in of_type(published, NotificationExpanded)] == [
        (0, 1, 0),
        (1, 1, 0),
    ]
    assert len({one.message.event_id for one in published}) == len(published)
    assert len({one.chunk_id for one in of_type(published, SendDeliveries)}) == 2


async def test_a_resend_needs_no_page_before_it(ask: Ask, run: Run, save: Save) -> None:
    """Its `page` is the first number, and nothing is stored under the ones below."""
    await save({1: ANNA})
    command = ask([1], generation=1, recipients=Recipients(numbers=(70_000,), client_ids=(1,), addresses=(None,)))
    assert command.page == 70_000
    assert of_type(await run(command), SendDeliveries)[0].numbers == (70_000,)


async def test_webhooks_go_to_their_urls(ask: Ask, run: Run) -> None:
    published = await run(ask(Addresses(addresses=(URL, "ftp://example.com", URL)), channel=Channel.WEBHOOK))
    (sent,) = of_type(published, SendDeliveries)
    assert (sent.addresses, sent.numbers) == ((URL,), None)
    assert published[0].topic is SEND_WEBHOOK.bulk
    (suppressed,) = of_type(published, DeliverySuppressed)
    assert suppressed.rules == ("invalid_address", "duplicate_address")


async def test_nobody_s_url_is_known(ask: Ask, run: Run, save: Save) -> None:
    await save({1: ANNA})
    (suppressed,) = of_type(await run(ask([1, 2], channel=Channel.WEBHOOK)), DeliverySuppressed)
    assert suppressed.rules == ("no_url", "unknown_client")


async def test_pages_of_urls(ask: Ask, run: Run) -> None:
    """More than fit on a page, so that what was planned is kept for the next one."""
    urls = tuple(f"https://example.com/{number}" for number in range(11_010))
    first = await run(ask(Addresses(addresses=urls), channel=Channel.WEBHOOK))
    (following,) = of_type(first, ExpandAudience)
    (expanded,) = of_type(await run(following), NotificationExpanded)
    assert (expanded.planned, expanded.suppressed, expanded.part) == (11_010, 0, 0)


async def test_viber_goes_to_phones(ask: Ask, run: Run, save: Save) -> None:
    await save({1: ANNA, 2: None})
    published = await run(ask([1, 2], channel=Channel.VIBER))
    assert of_type(published, SendDeliveries)[0].addresses == (ANNA,)
    assert of_type(published, DeliverySuppressed)[0].rules == ("no_phone",)
