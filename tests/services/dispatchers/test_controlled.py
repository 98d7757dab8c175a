"""A dispatcher at work while the owners of notifications pause, resume and cancel them, and while money runs out."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from libs.bus import Received
from libs.contracts.commands import SendDeliveries
from libs.contracts.events import NotificationControlled
from libs.contracts.ids import delivery_id, new_notification_id, provider_key
from libs.contracts.outcomes import Accepted, Ambiguous, Misconfigured, Transient
from libs.contracts.routing import Lane, MessageClass
from libs.contracts.states import DeliveryState, Gate
from libs.storage import Database
from services.dispatchers.dispatching import Limits
from services.dispatchers.gates import newest
from services.dispatchers.repository import AccountRepository
from tests.services.dispatchers.making import NOON, in_future, make_chunk, until
from tests.services.dispatchers.test_dispatching import Life, World

pytestmark = pytest.mark.postgres

WINDOWS = {Lane.URGENT: 500, Lane.BULK: 1000}
SMALL = Limits(windows={Lane.URGENT: 500, Lane.BULK: 500}, total=1000)


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def controlled(chunk: SendDeliveries, gate: Gate, revision: int = 1) -> NotificationControlled:
    return NotificationControlled(
        event_id=uuid4(),
        tenant=chunk.tenant,
        key=str(chunk.notification_id),
        occurred_at=NOON,
        notification_id=chunk.notification_id,
        gate=gate,
        revision=revision,
    )


async def tell(life: Life, *events: NotificationControlled) -> None:
    """As the bus does."""
    batch = [Received(event, "notification.controlled", 0, 0, NOON, None) for event in events]
    async with life.database.transaction() as connection:
        effect = await life.dispatching.gate_handlers().on_notification_controlled(batch, connection)
    assert effect.committed is not None
    effect.committed()


def campaign(chunks: int, size: int = 500) -> list[SendDeliveries]:
    notification = new_notification_id(datetime.now(UTC))
    return [make_chunk(size, first=number * size, notification=notification) for number in range(chunks)]


def numbers(world: World) -> Counter[DeliveryState]:
    return Counter(world.states().values())


def test_of_several_decisions_the_newest_is_taken() -> None:
    one, other = make_chunk(), make_chunk()
    events = [controlled(one, Gate.OPEN, 2), controlled(one, Gate.PAUSED, 1), controlled(other, Gate.HELD, 1)]
    assert [(each.notification_id, each.gate) for each in newest(events)] == [
        (one.notification_id, Gate.OPEN),
        (other.notification_id, Gate.HELD),
    ]


async def test_a_cancel_stops_what_is_not_claimed_and_tells_of_all_of_it(world: World) -> None:
    """Sent before, slipped and cancelled add up; nothing is submitted that was not claimed at the cancel."""
    chunks = campaign(20)
    async with world.life(SMALL) as life:
        for chunk in chunks:
            await life.take(chunk)
        await until(lambda: len(world.events) >= 4)
        world.carrier.gate.clear()
        await until(lambda: world.carrier.in_flight > 0)
        await tell(life, controlled(chunks[0], Gate.CANCELLED), controlled(make_chunk(), Gate.OPEN))
        claimed = await world.count("SELECT sum(hi - lo) FROM dispatch.claim WHERE result IS NULL OR state <> 'held'")
        await until(lambda: sum(numbers(world).values()) >= 10_000 - 500)
        world.carrier.gate.set()
        await until(lambda: len(world.states()) == 10_000)
        await world.all_reported()
    assert len(world.carrier.references) == len(set(world.carrier.references)) == numbers(world)[DeliveryState.SENT]
    assert numbers(world)[DeliveryState.SENT] + numbers(world)[DeliveryState.CANCELLED] == 10_000
    slipped = sum(len(event.numbers) for event in world.events if event.slipped)
    assert 0 < slipped <= 500
    assert not any(event.slipped for event in world.events if DeliveryState.CANCELLED in event.states)
    assert claimed >= 500


async def test_a_paused_campaign_outlives_a_restart_and_is_sent_once(world: World) -> None:
    chunks = campaign(12)
    async with world.life(SMALL) as life:
        for chunk in chunks:
            await life.take(chunk)
        await until(lambda: len(world.events) >= 2)
        await tell(life, controlled(chunks[0], Gate.PAUSED))
        await world.all_reported()
        stopped = len(world.carrier.references)
        assert stopped < 6000
        other = make_chunk(7)
        await life.take(other)
        await until(lambda: any(event.chunk_id == other.chunk_id for event in world.events))
        assert len(world.carrier.references) == stopped + 7
    async with world.life(SMALL) as life:
        await asyncio.sleep(0.3)
        assert len(world.carrier.references) == stopped + 7
        await tell(life, controlled(chunks[0], Gate.OPEN, 2))
        await until(lambda: len(world.carrier.references) == 6007)
        await world.all_reported()
    assert len(set(world.carrier.references)) == 6007
    assert set(world.states().values()) == {DeliveryState.SENT}


async def test_a_decision_may_come_before_the_chunk(world: World) -> None:
    paused, cancelled = make_chunk(3), make_chunk(4)
    async with world.life() as life:
        await tell(life, controlled(paused, Gate.HELD), controlled(cancelled, Gate.CANCELLED))
        await life.take(paused, cancelled)
        await until(lambda: len(world.events) == 1)
        assert (world.events[0].chunk_id, set(world.events[0].states)) == (
            cancelled.chunk_id,
            {DeliveryState.CANCELLED},
        )
        await tell(life, controlled(paused, Gate.OPEN, 2))
        await until(lambda: len(world.events) == 2)
    assert len(world.carrier.references) == 3


async def test_what_is_to_be_tried_again_is_cancelled_too_unless_it_may_have_been_sent(world: World) -> None:
    chunk = make_chunk(4, lane=Lane.URGENT)
    world.carrier.script = lambda message: Ambiguous("?") if message.to.endswith(("0", "1")) else Transient("busy")
    async with world.life() as life:
        await life.take(chunk)
        await until(lambda: len(world.events) == 1)
        await tell(life, controlled(chunk, Gate.CANCELLED))
        await until(lambda: DeliveryState.RETRYING not in world.states().values())
        await world.all_reported()
    unknown, cancelled = DeliveryState.UNKNOWN, DeliveryState.CANCELLED
    assert world.states() == {0: unknown, 1: unknown, 2: cancelled, 3: cancelled}
    assert set(world.events[-1].attempts) == {1}
    assert await world.count("SELECT count(*) FROM dispatch.item") == 0


async def test_a_shut_route_keeps_no_cancel_and_no_expiry_waiting(world: World) -> None:
    world.carrier.script = lambda message: Misconfigured("http 401")
    cancelled, expiring = make_chunk(3), make_chunk(2, expires_at=in_future(seconds=1.5))
    async with world.life() as life:
        await life.take(make_chunk(1))
        await world.holds("SELECT count(*) = 1 FROM dispatch.item")
        await life.take(cancelled, expiring)
        await tell(life, controlled(cancelled, Gate.CANCELLED))
        await until(lambda: len(world.events) == 2)
    assert {event.chunk_id: set(event.states) for event in world.events} == {
        cancelled.chunk_id: {DeliveryState.CANCELLED},
        expiring.chunk_id: {DeliveryState.EXPIRED},
    }


async def test_a_cancel_that_nobody_told_of_is_told_by_the_next_life(world: World) -> None:
    chunk = make_chunk(3)
    world.bus.is_away = True
    async with world.life() as life:
        await tell(life, controlled(chunk, Gate.CANCELLED))
        await life.take(chunk)
        await world.holds("SELECT count(*) = 1 FROM dispatch.claim WHERE state = 'done'")
    world.bus.is_away = False
    async with world.life():
        await until(lambda: len(world.events) == 1)
        await world.all_reported()
    assert set(world.events[0].states) == {DeliveryState.CANCELLED}


async def test_scattered_numbers_are_kept_to_the_end(world: World) -> None:
    given = (3, 70, 71, 900)
    chunk = make_chunk(4, lane=Lane.URGENT, message_class=MessageClass.OTP)
    chunk = chunk.model_copy(update={"numbers": given, "first_number": 3, "step": 1})
    world.carrier.script = lambda message: Transient("busy") if message.to.endswith("2") else Accepted("ok")
    async with world.life() as life:
        await life.take(chunk)
        await until(lambda: len(world.states()) == 4)
        world.carrier.script = lambda message: Accepted("ok")
        await until(lambda: set(world.states().values()) == {DeliveryState.SENT})
    assert set(world.states()) == set(given)
    keys = [provider_key(delivery_id(chunk.notification_id, number, step=1), 0).hex for number in given]
    assert set(world.carrier.references) == set(keys)


async def test_money_that_runs_out_ends_the_rest(world: World) -> None:
    limits = Limits(WINDOWS, 5000, price=10)
    async with world.database.connection() as connection:
        await AccountRepository().top_up(connection, "demo", 10 * 700, "EUR")
    async with world.life(limits) as life:
        await life.take(make_chunk(500), make_chunk(400, first=1000), make_chunk(5, tenant="unmetered", first=5000))
        await until(lambda: len(world.states()) == 905)
        await world.all_reported()
    assert numbers(world) == {DeliveryState.SENT: 705, DeliveryState.NO_FUNDS: 200}
    reasons = {reason for event in world.events for reason in event.reasons}
    assert reasons == {"", "not enough funds"}
    assert await world.count("SELECT spent FROM dispatch.account WHERE balance = 0 AND reserved = 0") == 7000


async def test_a_shorter_lease_stops_submitting_earlier_and_frees_others_earlier(world: World) -> None:
    limits = Limits(WINDOWS, 5000, lease=timedelta(seconds=31))
    world.carrier.gate.clear()
    async with world.life(limits) as life:
        assert life.dispatching._holdings._submit_within == 1.0
        await life.take(make_chunk(2))
        left = "SELECT extract(epoch FROM lease_until - now()) FROM dispatch.claim"
        assert 25 < await world.count(left) <= 31
