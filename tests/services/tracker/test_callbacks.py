"""Callers who asked for it hear of every delivery that is over, and of the end, whatever comes first."""

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from libs.contracts.events import DeliverySettled, NotificationCompleted
from libs.contracts.ids import NotificationId, delivery_id
from libs.contracts.states import DeliveryState, Gate, NotificationState
from libs.storage import Database
from services.tracker import callbacks, folding
from services.tracker.callbacks import Callbacks
from services.tracker.handlers import TrackerHandlers
from services.tracker.resending import Resending
from services.tracker.resends import DEFAULT_STATES
from services.tracker.sweeping import OrphanSweep
from tests.services.tracker.making import (
    TENANT,
    URL,
    Post,
    accepted,
    attempted,
    controlled,
    expanded,
    new_id,
    planned,
    reported,
    suppressed,
    tell,
)

pytestmark = pytest.mark.postgres
S = DeliveryState


class Caller:
    """What a caller hears."""

    def __init__(self, database: Database) -> None:
        self._callbacks = Callbacks(database, published=lambda: None)
        self._post = Post(database)
        self.settled: dict[Any, tuple[S, str]] = {}
        self.calls: list[DeliverySettled] = []
        self.ends: list[NotificationCompleted] = []

    async def listen(self) -> None:
        """Take what there is to hear now."""
        while await self._callbacks.run():
            pass
        for message in await self._post.collect():
            if isinstance(message, DeliverySettled):
                self.calls.append(message)
                told = zip(message.states, message.reasons, strict=True)
                self.settled |= dict(zip(message.delivery_ids, told, strict=True))
            elif isinstance(message, NotificationCompleted):
                self.ends.append(message)


@pytest.fixture
def caller(database: Database, monkeypatch: pytest.MonkeyPatch) -> Caller:
    monkeypatch.setattr(folding, "CALLBACK_DELAY", 0)
    return Caller(database)


def story(notification: NotificationId) -> list[Any]:
    """1,200 planned and 3 suppressed: 300 fail, 600 are delivered, 299 stay sent, one is corrected."""
    told: list[Any] = [
        accepted(notification, callback=True, people=1203),
        expanded(notification, 1200, 3),
        suppressed(notification, 1200, ["opted_out"] * 3),
        *(planned(notification, first, 300) for first in range(0, 1200, 300)),
    ]
    for first in range(0, 1200, 300):
        part = range(first, first + 300)
        told.append(
            attempted(
                notification,
                [
                    (number, S.FAILED, "blocked", "") if first == 0 else (number, S.SENT, "", f"{notification}{number}")
                    for number in part
                ],
            )
        )
    told.append(reported([(f"{notification}{number}", S.DELIVERED, "000") for number in range(300, 900)]))
    told.append(reported([(f"{notification}900", S.NOT_DELIVERED, "404")], after=60))
    return told


@pytest.mark.parametrize("seed", range(4))
async def test_each_end_is_told_whatever_comes_first(
    database: Database, handlers: TrackerHandlers, caller: Caller, seed: int
) -> None:
    rng, notification = random.Random(seed), new_id()
    told = story(notification)
    if seed:
        rng.shuffle(told)
    for message in told:
        await tell(database, handlers, message)
        if rng.random() < 0.5:
            await caller.listen()
    await caller.listen()
    assert len(caller.settled) == 904
    assert Counter(state for state, _ in caller.settled.values()) == {
        S.FAILED: 300,
        S.DELIVERED: 600,
        S.NOT_DELIVERED: 1,
        S.SUPPRESSED: 3,
    }
    assert sum(len(call.delivery_ids) for call in caller.calls) == 904  # nothing twice
    assert caller.settled[delivery_id(notification, 5)] == (S.FAILED, "blocked")
    assert caller.settled[delivery_id(notification, 1201)] == (S.SUPPRESSED, "opted_out")
    assert {len(call.delivery_ids) <= 500 for call in caller.calls} == {True}
    some = caller.calls[0]
    assert (some.callback.url, some.callback.data, some.external) == (URL, {"own": "x"}, {"sms_id": "17"})
    (end,) = caller.ends
    assert (end.state, end.planned, end.suppressed) == (NotificationState.DONE, 1200, 3)
    assert sum(end.counts.values()) == 1200
    # A correction is told, and the end is not told again for it.
    await tell(database, handlers, reported([(f"{notification}900", S.DELIVERED, "000")], after=120))
    await caller.listen()
    assert caller.settled[delivery_id(notification, 900)] == (S.DELIVERED, "")
    assert len(caller.ends) == 1


async def test_a_second_failure_after_a_resend_is_told_and_so_is_its_end(
    database: Database, handlers: TrackerHandlers, caller: Caller
) -> None:
    notification = new_id()
    await tell(database, handlers, accepted(notification, callback=True))
    await tell(database, handlers, planned(notification, 0, 2))
    await tell(database, handlers, expanded(notification, 2))
    await tell(database, handlers, attempted(notification, [(0, S.FAILED, "no", ""), (1, S.SENT, "", "a")]))
    await caller.listen()
    assert (len(caller.calls), len(caller.ends)) == (1, 1)
    await Resending(database, published=lambda: None).resend((notification, TENANT), DEFAULT_STATES, None)
    # Nobody listens while it is on its way.
    await tell(database, handlers, planned(notification, 0, 1, generation=1, numbers=[0]))
    await tell(database, handlers, expanded(notification, 1, generation=1, part=0))
    await tell(database, handlers, attempted(notification, [(0, S.FAILED, "no", "")], generation=1))
    await caller.listen()
    assert (len(caller.calls), len(caller.ends)) == (2, 2)
    assert caller.calls[1].delivery_ids == (delivery_id(notification, 0),)


async def test_a_cancelled_one_is_told_when_nothing_is_left(
    database: Database, handlers: TrackerHandlers, caller: Caller
) -> None:
    waiting, running = new_id(), new_id()
    await tell(database, handlers, accepted(waiting, callback=True), accepted(running, callback=True))
    await tell(database, handlers, planned(running, 0, 2))
    await tell(database, handlers, expanded(running, 2))
    await tell(
        database,
        handlers,
        controlled(waiting, Gate.CANCELLED, 1, waits=True),
        controlled(running, Gate.CANCELLED, 1),
    )
    await caller.listen()
    assert [(end.notification_id, end.state) for end in caller.ends] == [(waiting, NotificationState.CANCELLED)]
    await tell(
        database, handlers, attempted(running, [(0, S.CANCELLED, "cancelled", ""), (1, S.CANCELLED, "cancelled", "")])
    )
    await caller.listen()
    assert [end.notification_id for end in caller.ends] == [waiting, running]
    assert caller.ends[1].counts == {S.CANCELLED: 2}


async def test_a_large_one_is_told_bit_by_bit(
    database: Database, handlers: TrackerHandlers, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "BLOCKS", 2)
    notification = new_id()
    for message in story(notification):
        await tell(database, handlers, message)
    await caller.listen()
    assert sum(len(call.delivery_ids) for call in caller.calls) == 904
    assert len(caller.ends) == 1


async def test_who_did_not_ask_hears_nothing(database: Database, handlers: TrackerHandlers, caller: Caller) -> None:
    notification = new_id()
    await tell(database, handlers, accepted(notification))
    await tell(database, handlers, planned(notification, 0, 1))
    await tell(database, handlers, attempted(notification, [(0, S.FAILED, "no", "")]))
    await caller.listen()
    assert caller.calls == []
    async with database.connection() as connection:
        for table in ("callback", "told", "timer", "outbox"):
            assert await connection.fetchval(f"SELECT count(*) FROM tracker.{table}") == 0


async def test_hearing_while_it_happens(database: Database, handlers: TrackerHandlers, caller: Caller) -> None:
    """Facts of several notifications are folded side by side while somebody listens all the time."""
    notifications = [new_id() for _ in range(3)]
    stories = [story(notification) for notification in notifications]
    busy = True

    async def listen() -> None:
        while busy:
            await caller.listen()

    listening = asyncio.create_task(listen())

    async def one(told: list[Any], seed: int) -> None:
        random.Random(seed).shuffle(told)
        for low in range(0, len(told), 3):
            await asyncio.gather(*(tell(database, handlers, message) for message in told[low : low + 3]))

    await asyncio.gather(*(one(told, seed) for seed, told in enumerate(stories)))
    # A receipt that met its submission on the way is left to the sweep.
    await OrphanSweep(database).run()
    busy = False
    await listening
    await caller.listen()
    assert len(caller.settled) == 3 * 904
    assert sum(len(call.delivery_ids) for call in caller.calls) == 3 * 904
    assert Counter(end.notification_id for end in caller.ends) == dict.fromkeys(notifications, 1)
