"""Frozen plans on a real Postgres."""

from datetime import UTC, datetime

import pytest

from libs.contracts.ids import new_notification_id
from libs.storage import Database
from services.audience.planning import PagePlan, PlannedChunk, Rule, SuppressedChunk, address_key
from services.audience.repository import PageKey, PlanRepository

pytestmark = pytest.mark.postgres

ANNA, JAN = "+48600000001", "+48600000002"


def key(page: int = 0, tenant: str = "demo") -> PageKey:
    return PageKey(tenant, NOTIFICATION, 0, 0, page)


def plan(address: str, first_number: int = 0, next_cursor: str | None = None) -> PagePlan:
    return PagePlan(
        first_number,
        first_number + 2,
        next_cursor,
        (PlannedChunk(3, first_number, [7], [address]),),
        (SuppressedChunk(first_number + 1, [8], [None], [Rule.NO_PHONE]),),
    )


NOTIFICATION = new_notification_id(datetime.now(UTC))
PLANS = PlanRepository()


async def test_a_plan_is_written_once(database: Database) -> None:
    async with database.transaction() as connection:
        first = await PLANS.freeze(connection, {key(): plan(ANNA)})
    async with database.transaction() as connection:
        second = await PLANS.freeze(connection, {key(): plan(JAN), key(tenant="other"): plan(JAN)})
    assert first[key()].plan == plan(ANNA)
    assert second[key()] == first[key()]
    assert second[key(tenant="other")].plan == plan(JAN)


async def test_every_decision_can_be_read_again(database: Database) -> None:
    """Who was left out and by which rule: what an explanation needs."""
    async with database.transaction() as connection:
        await PLANS.freeze(connection, {key(): plan(ANNA)})
        stored = await PLANS.stored(connection, [key(), key(1), key(tenant="other")])
    assert list(stored) == [key()]
    (left,) = stored[key()].plan.suppressed
    assert (left.first_number, left.client_ids, left.rules) == (1, [8], ["no_phone"])


async def test_what_the_pages_before_planned(database: Database) -> None:
    async with database.transaction() as connection:
        await PLANS.freeze(connection, {key(0): plan(ANNA, 0, "2"), key(1): plan(JAN, 2, "4")})
        none = await PLANS.earlier(connection, key(0))
        both = await PLANS.earlier(connection, key(2))
        with pytest.raises(ValueError, match="all the pages before it"):
            await PLANS.earlier(connection, key(3))
        with pytest.raises(ValueError, match="all the pages before it"):
            await PLANS.earlier(connection, key(2, tenant="other"))
    assert (none.planned, none.suppressed, list(none.address_keys)) == (0, 0, [])
    assert (both.planned, both.suppressed) == (2, 2)
    assert sorted(both.address_keys) == [address_key(ANNA), address_key(JAN)]
