"""Whole lists of recipients: from the command, or from ingest where they are long."""

from collections import OrderedDict
from typing import Protocol

from pydantic import TypeAdapter

from libs.contracts.audience import Addresses, Audience, ClientIds, InlineAudience, StoredAudience
from services.audience.listing import Listed, listed

# Entries of stored lists kept between their pages: about 60 bytes each.
KEPT_ENTRIES = 500_000

_INLINE: TypeAdapter[ClientIds | Addresses] = TypeAdapter(InlineAudience)


class Content(Protocol):
    """Where long lists are kept."""

    async def get(self, tenant: str, sha256: str) -> bytes:
        """The body stored under `sha256`."""
        ...


class ListResolver:
    """Resolves audiences, keeping the last used stored ones: a list of 100,000 is asked for once a page."""

    def __init__(self, content: Content, *, kept_entries: int = KEPT_ENTRIES) -> None:
        self._content = content
        self._kept_entries = kept_entries
        self._kept: OrderedDict[tuple[str, str], Listed] = OrderedDict()

    async def resolve(self, tenant: str, audience: Audience) -> Listed:
        """The list with all its entries. Raises Unavailable, LookupError for an unknown hash, and pydantic's
        ValidationError (a ValueError) for content that is no list."""
        if not isinstance(audience, StoredAudience):
            return listed(audience)
        key = (tenant, audience.sha256)
        if key not in self._kept:
            self._kept[key] = listed(_INLINE.validate_json(await self._content.get(*key)))
        self._kept.move_to_end(key)
        whole = self._kept[key]
        while len(self._kept) > 1 and sum(len(kept.entries) for kept in self._kept.values()) > self._kept_entries:
            self._kept.popitem(last=False)
        return whole
