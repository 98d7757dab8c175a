"""Which chunks of a batch are claimed in the transaction that stages them, and how a chunk is stored."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import zstandard

from libs.contracts.commands import SendDeliveries
from libs.contracts.content import StoredContent
from libs.contracts.ids import ChunkId

ZSTD_LEVEL = 3

_compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
_decompressor = zstandard.ZstdDecompressor()
# A stored body is ours, but its size is still bounded: 500 recipients with long addresses and 256 KiB of content.
MAX_BODY = 8 * 1024 * 1024


# A chunk, its partition, its traceparent.
Chunk = tuple[SendDeliveries, int, str | None]


@dataclass(frozen=True, slots=True)
class Staging:
    """A chunk to store. `take` deliveries of it, from the first, are claimed for `route` at once (0: it waits for its
    turn). `segments` is what one of its messages counts where tenants are metered."""

    chunk: SendDeliveries
    partition: int
    traceparent: str | None
    take: int
    route: str = ""
    segments: int = 1


class UnsendableContent(Exception):  # noqa: N818 - a property of the chunk
    """A chunk whose words this channel cannot send as they are."""


class Offer(NamedTuple):
    """Where a tenant's messages can go now, and how many: of this tenant, and of all that take this route. No route:
    they wait."""

    route: str
    of_tenant: int
    on_route: int


NOWHERE = Offer("", 0, 0)


def plan_staging(
    batch: Sequence[Chunk],
    offer: Callable[[str], Offer],
    total: int,
    segments: Callable[[SendDeliveries], int] = lambda chunk: 1,
) -> list[Staging]:
    """Claim whole chunks, in their order, as long as there is room: what `offer` says of a tenant, `total` for all
    together.

    A chunk that stands twice in the batch is staged once. None is claimed past an older one of its tenant that waits.
    One larger than the whole room would never fit: the claims that follow take it in parts. Raises UnsendableContent.
    """
    offers: dict[str, Offer] = {}
    on_route: dict[str, int] = {}
    stagings: list[Staging] = []
    for chunk, partition, traceparent in _once(batch):
        if isinstance(chunk.content, StoredContent):
            raise UnsendableContent(f"{chunk.channel} content by reference")
        size = len(chunk.addresses)
        if (best := offers.get(chunk.tenant)) is None:
            best = offer(chunk.tenant)
        room = min(best.of_tenant, on_route.setdefault(best.route, best.on_route), total)
        take = size if size <= room else 0
        total -= take
        on_route[best.route] -= take
        offers[chunk.tenant] = Offer(best.route, best.of_tenant - size if take else 0, best.on_route)
        stagings.append(Staging(chunk, partition, traceparent, take, best.route, segments(chunk)))
    return stagings


def _once(batch: Sequence[Chunk]) -> Iterable[Chunk]:
    first: dict[ChunkId, Chunk] = {}
    for record in batch:
        first.setdefault(record[0].chunk_id, record)
    return first.values()


def compress(body: bytes) -> bytes:
    """As it is stored."""
    return _compressor.compress(body)


def decompress(body: bytes) -> bytes:
    """As it was. Raises zstandard.ZstdError when it is not what `compress` made, or larger than MAX_BODY."""
    return _decompressor.decompress(body, max_output_size=MAX_BODY)
