"""Who deliveries go to."""

import json
import struct
from collections.abc import Iterable, Mapping

from libs.storage import Connection
from services.tracker.asking import Recipient
from services.tracker.blocks import OFFSET_BITS, BlockKey
from services.tracker.chunks import NO_CLIENT

_RECIPIENTS = """
    SELECT block_id, generation, first_offset, channel, client_ids, addresses, offsets FROM tracker.recipients
    WHERE block_id = ANY ($1::uuid[]) AND tenant = $2 ORDER BY block_id, generation
"""
_UNKNOWN = Recipient()


async def read_recipients(
    connection: Connection, tenant: str, keys: Iterable[BlockKey]
) -> Mapping[tuple[int, int], Recipient]:
    """By block's number and offset; of several generations the latest, with the last address that is known."""
    found: dict[tuple[int, int], Recipient] = {}
    for row in await connection.fetch(_RECIPIENTS, [key.block_id for key in keys], tenant):
        number, count = row["block_id"].int >> OFFSET_BITS, len(row["client_ids"]) // 8
        client_ids = struct.unpack(f"<{count}q", row["client_ids"])
        addresses = json.loads(row["addresses"]) if row["addresses"] is not None else [None] * count
        first = row["first_offset"]
        offsets = row["offsets"] or range(first, first + count)
        for offset, client_id, address in zip(offsets, client_ids, addresses, strict=True):
            known = None if client_id == NO_CLIENT else client_id
            place = number, offset
            found[place] = Recipient(row["channel"], known, address or found.get(place, _UNKNOWN).address)
    return found
