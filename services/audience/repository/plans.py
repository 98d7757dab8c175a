"""Frozen plans: a row per page, written once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from libs.contracts.commands import ExpandAudience
from libs.storage import Connection
from services.audience.packing import pack, pack_addresses, unpack, unpack_addresses
from services.audience.planning import PagePlan


class PageKey(NamedTuple):
    """Which page of which expansion."""

    tenant: str
    notification_id: UUID
    step: int
    generation: int
    page: int

    @classmethod
    def of(cls, command: ExpandAudience) -> "PageKey":
        """The page a command asks for."""
        notification_id = command.notification.notification_id
        return cls(command.tenant, notification_id, command.step, command.generation, command.page)


@dataclass(frozen=True, slots=True)
class StoredPage:
    """A plan as it is stored; `decided_at` is the database's clock."""

    plan: PagePlan
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class EarlierPages:
    """What the pages before one came to. `address_keys` are those of everybody they planned."""

    planned: int
    suppressed: int
    address_keys: Sequence[int]


_INSERT = """
INSERT INTO audience.page (tenant, notification_id, step, generation, page, first_number, next_number, next_cursor,
                           planned, suppressed, decisions, address_keys)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::smallint[], $4::integer[], $5::integer[], $6::integer[],
                     $7::integer[], $8::text[], $9::integer[], $10::integer[], $11::bytea[], $12::bytea[])
           AS plan (tenant, notification_id)
{where}
ON CONFLICT DO NOTHING
RETURNING tenant, notification_id, step, generation, page, decided_at
"""
# The gates are read by the statement that stores: asking for them first would cost every batch a round trip. A row that
# is locked here is read again if it has just changed, so a gate that was opened meanwhile does not hold a page back.
# NOT IN, unlike a join, keeps the order.
_FREEZE = f"""
WITH shut AS (
    SELECT tenant, notification_id FROM audience.gate
    WHERE gate <> 'open' AND (tenant, notification_id) IN (SELECT * FROM unnest($1::text[], $2::uuid[]))
    ORDER BY tenant, notification_id FOR SHARE
)
{_INSERT.format(where="WHERE (tenant, notification_id) NOT IN (SELECT tenant, notification_id FROM shut)")}
"""  # noqa: S608 - only our own words
_CLOSE = _INSERT.format(where="")

NONE_EARLIER = EarlierPages(0, 0, ())


class PlanRepository:
    """The table audience.page. Its primary key is what plans a page once, whoever works on it at the same time."""

    async def earlier(self, connection: Connection, key: PageKey) -> EarlierPages:
        """What the pages before `key`'s stored. Raises ValueError when one of them is not there: a page is asked for
        only after the one before it was stored."""
        if key.page == 0:
            return NONE_EARLIER
        rows = await connection.fetch(
            """
            SELECT planned, suppressed, address_keys FROM audience.page
            WHERE tenant = $1 AND notification_id = $2 AND step = $3 AND generation = $4 AND page < $5
            """,
            *key,
        )
        if len(rows) != key.page:
            raise ValueError(f"page {key.page} of {key.notification_id} without all the pages before it")
        return EarlierPages(
            planned=sum(row["planned"] for row in rows),
            suppressed=sum(row["suppressed"] for row in rows),
            address_keys=[
                number for row in rows if row["address_keys"] for number in unpack_addresses(row["address_keys"])
            ],
        )

    async def freeze(self, connection: Connection, plans: Mapping[PageKey, PagePlan]) -> Mapping[PageKey, StoredPage]:
        """Store `plans` and answer what is stored: for a page that was planned before, the plan of then. A page behind
        a shut gate is not stored, and not in the answer unless it was stored before; its gate stays as it is until the
        transaction ends."""
        return await self._store(connection, plans, _FREEZE)

    async def close(self, connection: Connection, plans: Mapping[PageKey, PagePlan]) -> Mapping[PageKey, StoredPage]:
        """The same for pages of cancelled notifications, which are behind a gate."""
        return await self._store(connection, plans, _CLOSE)

    async def _store(
        self, connection: Connection, plans: Mapping[PageKey, PagePlan], statement: str
    ) -> Mapping[PageKey, StoredPage]:
        # In one order everywhere, so that two processes at the same pages wait for each other and never in a circle.
        keys = sorted(plans)
        rows = await connection.fetch(
            statement, *_columns(keys), *zip(*(_decided(plans[key]) for key in keys), strict=True)
        )
        frozen = {PageKey(*row[:5]): StoredPage(plans[PageKey(*row[:5])], row["decided_at"]) for row in rows}
        if len(frozen) < len(keys):
            frozen |= await self.stored(connection, [key for key in keys if key not in frozen])
        return frozen

    async def stored(self, connection: Connection, keys: Sequence[PageKey]) -> Mapping[PageKey, StoredPage]:
        """The plans that are stored under `keys`."""
        rows = await connection.fetch(
            """
            SELECT tenant, notification_id, step, generation, page, first_number, next_number, next_cursor, decisions,
                   decided_at
            FROM audience.page
            JOIN unnest($1::text[], $2::uuid[], $3::smallint[], $4::integer[], $5::integer[])
                 AS asked (tenant, notification_id, step, generation, page)
                 USING (tenant, notification_id, step, generation, page)
            """,
            *_columns(keys),
        )
        return {
            PageKey(*row[:5]): StoredPage(
                unpack(
                    row["decisions"],
                    first_number=row["first_number"],
                    next_number=row["next_number"],
                    next_cursor=row["next_cursor"],
                ),
                row["decided_at"],
            )
            for row in rows
        }


def _columns(keys: Sequence[PageKey]) -> Iterable[Sequence[object]]:
    return zip(*keys, strict=True)


def _decided(plan: PagePlan) -> tuple[object, ...]:
    """The columns of a page that hold its decisions, in the table's order."""
    followed = plan.next_cursor is not None
    return (
        plan.first_number,
        plan.next_number,
        plan.next_cursor,
        plan.planned_count,
        plan.suppressed_count,
        pack(plan),
        pack_addresses(plan.chunks) if followed else None,
    )
