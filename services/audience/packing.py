"""A page's plan and a parked command as the bytes that are stored, and back."""

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import zstandard
from pydantic_core import from_json, to_json

from libs.contracts.commands import ExpandAudience
from services.audience.planning import PagePlan, PlannedChunk, SuppressedChunk, address_key

# Larger than any page: a corrupt length must not make us allocate.
_MAX_UNPACKED = 64 * 1024 * 1024
_LEVEL = 1


def pack(plan: PagePlan) -> bytes:
    """The decisions of `plan`, without what has columns of its own: compressed JSON, in columns."""
    document = {
        "chunks": [
            [chunk.partition, chunk.first_number, chunk.client_ids, chunk.addresses, chunk.numbers]
            for chunk in plan.chunks
        ],
        "suppressed": [
            [chunk.first_number, chunk.client_ids, chunk.addresses, chunk.rules, chunk.numbers]
            for chunk in plan.suppressed
        ],
    }
    return zstandard.ZstdCompressor(level=_LEVEL).compress(to_json(document))


def unpack(decisions: bytes, *, first_number: int, next_number: int, next_cursor: str | None) -> PagePlan:
    """The plan whose decisions `pack` wrote; a release before this one wrote no numbers."""
    document: dict[str, Any] = from_json(_decompress(decisions))
    return PagePlan(
        first_number,
        next_number,
        next_cursor,
        tuple(PlannedChunk(*chunk) for chunk in document["chunks"]),
        tuple(SuppressedChunk(*chunk) for chunk in document["suppressed"]),
    )


def pack_addresses(chunks: Iterable[PlannedChunk]) -> bytes:
    """The planned addresses as `address_key`s, for the pages that follow."""
    keys = [address_key(address) for chunk in chunks for address in chunk.addresses]
    return zstandard.ZstdCompressor(level=_LEVEL).compress(struct.pack(f"<{len(keys)}q", *keys))


def unpack_addresses(packed: bytes) -> Sequence[int]:
    """The keys that `pack_addresses` wrote. Raises ValueError for what it did not write."""
    raw = _decompress(packed)
    return struct.unpack(f"<{len(raw) // 8}q", raw)


def pack_command(command: ExpandAudience) -> bytes:
    """The whole message."""
    return zstandard.ZstdCompressor(level=_LEVEL).compress(command.model_dump_json().encode())


def unpack_command(packed: bytes) -> ExpandAudience:
    """The message that `pack_command` wrote."""
    return ExpandAudience.model_validate_json(_decompress(packed))


def _decompress(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=_MAX_UNPACKED)
