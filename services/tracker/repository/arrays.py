"""Long arrays as text, which Postgres reads faster than asyncpg writes a list: it looks twice at every element."""

import struct
from collections.abc import Iterable, Sequence

from services.tracker.blocks import OFFSET_BITS, BlockKey


def array_of_numbers(values: Iterable[int]) -> str:
    """Numbers as Postgres reads an array."""
    return "{" + ",".join(map(str, values)) + "}"


def array_of_ids(keys: Iterable[BlockKey]) -> str:
    """The ids of blocks as Postgres reads an array."""
    return "{" + ",".join([f"{key[0] << OFFSET_BITS:032x}" for key in keys]) + "}"


def array_of_tenants(keys: Iterable[BlockKey]) -> str:
    """The tenants of blocks as Postgres reads an array; a tenant's id holds nothing that would need escaping."""
    return '{"' + '","'.join([key[1] for key in keys]) + '"}'


def pack_numbers(numbers: Sequence[int]) -> bytes:
    """Recipients' numbers, 4 bytes each."""
    return struct.pack(f"<{len(numbers)}I", *numbers)


def unpack_numbers(packed: bytes) -> Sequence[int]:
    """The inverse of `pack_numbers`."""
    return struct.unpack(f"<{len(packed) // 4}I", packed)
