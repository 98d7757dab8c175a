"""Where the entries of an audience come from."""

import hashlib

import pytest
from pydantic import ValidationError

from libs.contracts.audience import Addresses, ClientIds, StoredAudience
from services.audience.resolving import ListResolver


class Shelf:
    """Content in memory that counts how often it is asked."""

    def __init__(self) -> None:
        self.bodies: dict[tuple[str, str], bytes] = {}
        self.asked = 0

    def put(self, tenant: str, body: bytes, count: int) -> StoredAudience:
        sha256 = hashlib.sha256(body).hexdigest()
        self.bodies[tenant, sha256] = body
        return StoredAudience(sha256=sha256, size=len(body), count=count)

    async def get(self, tenant: str, sha256: str) -> bytes:
        self.asked += 1
        return self.bodies[tenant, sha256]


def ids(first: int, count: int) -> ClientIds:
    return ClientIds(client_ids=tuple(range(first, first + count)))


async def test_an_inline_list_is_itself() -> None:
    whole = await ListResolver(Shelf()).resolve("demo", Addresses(addresses=("+48600000001",)))
    assert list(whole.entries) == ["+48600000001"]


async def test_a_stored_list_is_read_once_for_its_pages() -> None:
    shelf = Shelf()
    stored = shelf.put("demo", ids(1, 30).model_dump_json().encode(), 30)
    resolver = ListResolver(shelf)
    for _ in range(3):
        assert list((await resolver.resolve("demo", stored)).entries) == list(range(1, 31))
    assert shelf.asked == 1


async def test_a_tenant_s_list_is_nobody_else_s() -> None:
    shelf = Shelf()
    stored = shelf.put("demo", ids(1, 3).model_dump_json().encode(), 3)
    resolver = ListResolver(shelf)
    await resolver.resolve("demo", stored)
    with pytest.raises(LookupError):
        await resolver.resolve("other", stored)


async def test_the_longest_unused_list_is_let_go() -> None:
    shelf = Shelf()
    one, two, three = (shelf.put("demo", ids(first, 4).model_dump_json().encode(), 4) for first in (1, 2, 3))
    resolver = ListResolver(shelf, kept_entries=8)
    for stored in (one, two, one, three, one):
        await resolver.resolve("demo", stored)
    assert shelf.asked == 3
    await resolver.resolve("demo", two)
    assert shelf.asked == 4


async def test_a_list_longer_than_what_is_kept_is_kept_alone() -> None:
    shelf = Shelf()
    stored = shelf.put("demo", ids(1, 20).model_dump_json().encode(), 20)
    resolver = ListResolver(shelf, kept_entries=8)
    for _ in range(2):
        await resolver.resolve("demo", stored)
    assert shelf.asked == 1


async def test_content_that_is_no_list_is_refused() -> None:
    shelf = Shelf()
    stored = shelf.put("demo", b'{"kind": "sms", "text": "hello"}', 1)
    with pytest.raises(ValidationError):
        await ListResolver(shelf).resolve("demo", stored)
