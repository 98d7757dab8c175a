"""The state of deliveries, a block a row."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from libs.storage import Connection
from services.tracker.blocks import BLANK_DETAILS, BLANK_STATES, LOW_MASK, OFFSET_BITS, Block, BlockKey, Named
from services.tracker.repository.arrays import array_of_ids, array_of_tenants

# The planner takes an array for ten rows and knows nothing of a young table, but every statement here means a look-up
# by key. Local to the transaction, because a plain SET would reach the pool's next user.
_PIN_PLANS = """
    SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
           set_config('enable_seqscan', 'off', true)
"""
# The update that never happens locks a row that exists, in the same pass and order in which missing rows are made.
# A blank block has its full size: a row that grows later would leave its page.
_RESERVE = """
    INSERT INTO tracker.block (block_id, tenant, states, details, reasons)
    SELECT asked.block_id, asked.tenant, $3, $4, ''
    FROM unnest($1::text::uuid[], $2::text::text[]) AS asked (block_id, tenant)
    ORDER BY asked.block_id, asked.tenant
    ON CONFLICT (block_id, tenant) DO UPDATE SET reasons = '' WHERE false
"""
_READ = """
    SELECT block.block_id, block.tenant, block.states, block.details, block.reasons
    FROM unnest($1::text::uuid[], $2::text::text[]) AS asked (block_id, tenant)
    JOIN tracker.block ON block.block_id = asked.block_id AND block.tenant = asked.tenant
"""
_LOCK = _READ + "ORDER BY block.block_id, block.tenant FOR NO KEY UPDATE OF block"
_OF_NOTIFICATION = """
    SELECT block_id, tenant, states, details, reasons FROM tracker.block
    WHERE block_id >= $1 AND block_id <= $2 AND tenant = $3 ORDER BY block_id
"""
_IN_STATES = """
    SELECT block_id FROM tracker.block
    WHERE block_id >= $1 AND block_id <= $2 AND tenant = $3
      AND EXISTS (SELECT FROM unnest($4::bytea[]) AS wanted (state) WHERE position(wanted.state IN states) > 0)
    ORDER BY block_id LIMIT $5
"""
# All blocks' bytes are one parameter each: a row of arrays would be copied whole for every row it updates.
_WRITE = """
    UPDATE tracker.block
    SET states = substr($3::bytea, (told.ordinal::int - 1) * $5 + 1, $5),
        details = substr($4::bytea, (told.ordinal::int - 1) * $6 + 1, $6)
    FROM unnest($1::text::uuid[], $2::text::text[]) WITH ORDINALITY AS told (block_id, tenant, ordinal)
    WHERE block.block_id = told.block_id AND block.tenant = told.tenant
"""
_WRITE_WORDS = """
    UPDATE tracker.block SET reasons = told.reasons
    FROM unnest($1::uuid[], $2::text[], $3::text[]) AS told (block_id, tenant, reasons)
    WHERE block.block_id = told.block_id AND block.tenant = told.tenant
"""


class BlockRepository:
    """Blocks, locked from their reading to the end of the transaction."""

    async def pin_plans(self, connection: Connection) -> None:
        """Have the rest of the transaction look rows up by key."""
        await connection.fetchrow(_PIN_PLANS)

    async def reserve(self, connection: Connection, keys: Iterable[BlockKey]) -> dict[BlockKey, Block]:
        """The blocks of `keys`, locked; those that did not exist are made."""
        asked = list(keys)
        columns = array_of_ids(asked), array_of_tenants(asked)
        await connection.execute(_RESERVE, *columns, BLANK_STATES, BLANK_DETAILS)
        return _blocks(await connection.fetch(_READ, *columns))

    async def lock(self, connection: Connection, keys: Collection[BlockKey]) -> dict[BlockKey, Block]:
        """The blocks of `keys`, which exist, locked."""
        if not keys:
            return {}
        return _blocks(await connection.fetch(_LOCK, array_of_ids(keys), array_of_tenants(keys)))

    async def of_notification(self, connection: Connection, notification: Named) -> dict[BlockKey, Block]:
        """All blocks of a notification, as they are committed now."""
        return _blocks(await connection.fetch(_OF_NOTIFICATION, *span(notification)))

    async def in_states(
        self, connection: Connection, notification: Named, codes: Iterable[int], first: UUID, *, limit: int
    ) -> Sequence[BlockKey]:
        """Blocks of a notification, from the id `first` on, with a delivery in one of the states with these codes."""
        _, last, tenant = span(notification)
        wanted = [bytes((code,)) for code in codes]
        rows = await connection.fetch(_IN_STATES, first, last, tenant, wanted, limit)
        return [BlockKey(row[0].int >> OFFSET_BITS, notification[1]) for row in rows]

    async def write(self, connection: Connection, blocks: Mapping[BlockKey, Block]) -> None:
        """Store blocks that are locked."""
        if not blocks:
            return
        await connection.execute(
            _WRITE,
            array_of_ids(blocks),
            array_of_tenants(blocks),
            b"".join([block.states for block in blocks.values()]),
            b"".join([block.details for block in blocks.values()]),
            len(BLANK_STATES),
            len(BLANK_DETAILS),
        )
        words = [(key.block_id, key.tenant, block.packed_reasons()) for key, block in blocks.items() if block.reworded]
        if words:
            await connection.execute(_WRITE_WORDS, *zip(*words, strict=True))


def span(notification: Named) -> tuple[UUID, UUID, str]:
    """The first and the last id of a notification's deliveries, and its tenant."""
    notification_id, tenant = notification
    return notification_id, UUID(int=notification_id.int | LOW_MASK), tenant


def _blocks(rows: Iterable[Any]) -> dict[BlockKey, Block]:
    return {
        BlockKey(block_id.int >> OFFSET_BITS, tenant): Block.unpack(states, details, reasons)
        for block_id, tenant, states, details, reasons in rows
    }
