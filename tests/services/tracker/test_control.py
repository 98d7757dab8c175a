"""Paused, held, cancelled: what the books show, in whatever order they hear of it."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from libs.contracts.states import DeliveryState, Gate
from libs.storage import Database
from services.tracker.handlers import TrackerHandlers
from services.tracker.repository import QueryRepository
from tests.services.tracker.making import (
    accepted,
    attempted,
    controlled,
    expanded,
    new_id,
    planned,
    shown,
    tell,
)

pytestmark = pytest.mark.postgres
S = DeliveryState


async def test_the_highest_revision_is_in_force(
    database: Database, handlers: TrackerHandlers, books: QueryRepository
) -> None:
    notification = new_id()
    news = [
        controlled(notification, gate, revision)
        for revision, gate in enumerate([Gate.PAUSED, Gate.OPEN, Gate.PAUSED, Gate.HELD], 1)
    ]
    news[-1] = controlled(notification, Gate.HELD, 4, reason="missed")
    await tell(database, handlers, accepted(notification))
    for one in random.sample(news * 2, 8):
        await tell(database, handlers, one)
    answer = await shown(books, notification)
    assert answer["state"] == "held"
    assert answer["control"] == {
        "gate": "held",
        "revision": 4,
        "reason": "missed",
        "sent_before": 0,
        "slipped": 0,
        "stopped": 0,
    }
    await tell(database, handlers, *random.sample(news, 4))
    assert (await shown(books, notification))["control"]["revision"] == 4


async def test_the_three_numbers_add_up(database: Database, handlers: TrackerHandlers, books: QueryRepository) -> None:
    notification = new_id()
    await tell(database, handlers, accepted(notification))
    assert "control" not in await shown(books, notification)
    await tell(database, handlers, planned(notification, 0, 100))
    await tell(database, handlers, expanded(notification, 100))
    before = attempted(notification, [(number, S.SENT, "", f"a{number}") for number in range(40)])
    await tell(database, handlers, before)
    await tell(database, handlers, controlled(notification, Gate.CANCELLED, 1))
    answer = await shown(books, notification)
    assert answer["state"] == "cancelled"
    assert [answer["control"][name] for name in ("sent_before", "slipped", "stopped")] == [40, 0, 0]
    through = attempted(
        notification,
        [(number, S.SENT if number < 50 else S.RETRYING, "", "") for number in range(40, 55)],
        slipped=True,
    )
    await tell(database, handlers, through, through)
    await tell(database, handlers, through)
    stopped = attempted(notification, [(number, S.CANCELLED, "cancelled", "") for number in range(50, 100)])
    await tell(database, handlers, stopped)
    answer = await shown(books, notification)
    assert [answer["control"][name] for name in ("sent_before", "slipped", "stopped")] == [40, 10, 50]
    assert (answer["state"], answer["counts"]) == ("cancelled", {"sent": 50, "cancelled": 50})


async def test_a_cancel_after_everything_left_stopped_nothing(
    database: Database, handlers: TrackerHandlers, books: QueryRepository
) -> None:
    notification = new_id()
    await tell(database, handlers, accepted(notification))
    await tell(database, handlers, controlled(notification, Gate.CANCELLED, 1))
    assert (await shown(books, notification))["state"] == "cancelled"
    await tell(database, handlers, planned(notification, 0, 2))
    await tell(database, handlers, attempted(notification, [(0, S.SENT, "", "a"), (1, S.SENT, "", "b")], slipped=True))
    assert (await shown(books, notification))["state"] == "cancelled"
    await tell(database, handlers, expanded(notification, 2))
    answer = await shown(books, notification)
    assert (answer["state"], answer["control"]["slipped"]) == ("done", 2)


async def test_what_waits_is_paused_rescheduled_and_cancelled(
    database: Database, handlers: TrackerHandlers, books: QueryRepository
) -> None:
    notification, start = new_id(), datetime.now(UTC) + timedelta(hours=1)
    # The new start overtakes the acceptance.
    later = start + timedelta(days=1)
    await tell(database, handlers, controlled(notification, Gate.OPEN, 1, waits=True, at=later))
    await tell(database, handlers, accepted(notification, at=start))
    answer = await shown(books, notification)
    assert (answer["state"], answer["at"][:19]) == ("waiting", later.isoformat()[:19])
    await tell(database, handlers, controlled(notification, Gate.PAUSED, 2, waits=True, at=later))
    assert (await shown(books, notification))["state"] == "paused"
    await tell(database, handlers, controlled(notification, Gate.CANCELLED, 3, waits=True, at=later))
    answer = await shown(books, notification)
    assert (answer["state"], answer["totals_known"], answer["planned"]) == ("cancelled", True, 0)


async def test_a_paused_notification_that_is_over_is_done(
    database: Database, handlers: TrackerHandlers, books: QueryRepository
) -> None:
    notification = new_id()
    await tell(database, handlers, accepted(notification))
    await tell(database, handlers, planned(notification, 0, 1))
    await tell(database, handlers, expanded(notification, 1))
    await tell(database, handlers, controlled(notification, Gate.PAUSED, 1))
    assert (await shown(books, notification))["state"] == "paused"
    await tell(database, handlers, attempted(notification, [(0, S.SENT, "", "a")]))
    assert (await shown(books, notification))["state"] == "done"


async def test_anothers_control_changes_nothing(
    database: Database, handlers: TrackerHandlers, books: QueryRepository
) -> None:
    notification = new_id()
    await tell(database, handlers, accepted(notification))
    await tell(database, handlers, controlled(notification, Gate.CANCELLED, 1, tenant="intruder"))
    assert (await shown(books, notification))["state"] == "running"
    # A control may come first, so it is kept; but nobody has a notification because he asked for its end.
    assert await books.notification("intruder", notification) is None
    assert await books.deliveries("intruder", notification, first=notification, state=None, limit=1) is None
