"""A list of recipients and its pages: where a page begins and ends, and which of its entries were there before."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from libs.contracts.audience import Addresses, ClientIds

# Recipients fall on 24 partitions at random. 11,000 make 458 +- 21 for each, so nearly every partition is one chunk of
# at most 500; at 12,000 every second one would need another, small chunk. Chunks are what the hops after this cost.
PAGE = 11_000


@dataclass(frozen=True, slots=True)
class Listed:
    """A whole list. `repeated` holds the positions of entries that stand earlier in the list as well."""

    audience: ClientIds | Addresses
    repeated: frozenset[int]

    @property
    def entries(self) -> Sequence[int] | Sequence[str]:
        """Client ids or addresses, in the caller's order."""
        return self.audience.client_ids if isinstance(self.audience, ClientIds) else self.audience.addresses


@dataclass(frozen=True, slots=True)
class Page:
    """The recipients at positions `start`, `start` + 1, ... of a list: client ids or addresses, the other is empty.

    `repeated` are the indices in this page of entries that stand earlier in the list; `next_cursor` is where the next
    page begins, none when this is the last.
    """

    client_ids: Sequence[int]
    addresses: Sequence[str]
    repeated: frozenset[int]
    next_cursor: str | None

    def __len__(self) -> int:
        return len(self.client_ids) + len(self.addresses)


def listed(audience: ClientIds | Addresses) -> Listed:
    """The list with its repetitions found, once for all its pages."""
    entries: Sequence[Hashable] = audience.client_ids if isinstance(audience, ClientIds) else audience.addresses
    if len(set(entries)) == len(entries):
        return Listed(audience, frozenset())
    seen: set[Hashable] = set()
    repeated = set()
    for position, entry in enumerate(entries):
        if entry in seen:
            repeated.add(position)
        seen.add(entry)
    return Listed(audience, frozenset(repeated))


def page_at(whole: Listed, cursor: str | None, *, size: int = PAGE) -> Page:
    """The page that begins at `cursor`, a position in the list. Raises ValueError for what is no position in it."""
    entries = whole.entries
    start = 0 if cursor is None else _position(cursor)
    if start >= len(entries):
        raise ValueError(f"cursor {start} is beyond the list's {len(entries)} entries")
    end = min(start + size, len(entries))
    return Page(
        client_ids=whole.audience.client_ids[start:end] if isinstance(whole.audience, ClientIds) else (),
        addresses=() if isinstance(whole.audience, ClientIds) else whole.audience.addresses[start:end],
        repeated=frozenset(position - start for position in whole.repeated if start <= position < end),
        next_cursor=str(end) if end < len(entries) else None,
    )


def _position(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit()):
        raise ValueError("the cursor is not a position")
    return int(cursor)
