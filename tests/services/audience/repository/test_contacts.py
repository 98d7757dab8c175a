"""Contacts on a real Postgres."""

from collections.abc import Awaitable, Callable

import pytest

from libs.contracts.routing import Channel
from libs.storage import Database
from services.audience.repository import ContactRepository
from services.audience.repository.contacts import AT_ONCE

pytestmark = pytest.mark.postgres

Save = Callable[..., Awaitable[None]]


async def addresses(database: Database, client_ids: list[int], tenant: str = "demo") -> dict[int, str | None]:
    async with database.connection() as connection:
        return dict(await ContactRepository().addresses(connection, tenant, Channel.SMS, client_ids))


async def test_known_people_and_no_others(database: Database, save: Save) -> None:
    await save({1: "+48600000001", 2: None, 3: "+48600000003"})
    await save({1: "+48600000009", 4: "+48600000004"}, tenant="other")
    assert await addresses(database, [4, 2, 1, 2**63 - 1]) == {1: "+48600000001", 2: None}
    assert await addresses(database, [1, 4], tenant="other") == {1: "+48600000009", 4: "+48600000004"}
    assert await addresses(database, [1], tenant="nobody") == {}
    assert await addresses(database, []) == {}


async def test_more_people_than_a_statement_reads(database: Database, save: Save) -> None:
    phones: dict[int, str | None] = {n: f"+48{600_000_000 + n}" for n in range(2 * AT_ONCE + 1)}
    await save(phones)
    assert await addresses(database, list(phones)) == phones


async def test_a_phone_that_is_not_e164_is_never_stored(database: Database, save: Save) -> None:
    with pytest.raises(Exception, match="contact_phone_check"):
        await save({1: "600 000 001"})
