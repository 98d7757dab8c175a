"""Who of a page gets a message, who does not and by which rule, with which number and in which chunk."""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from libs.contracts.commands import MAX_CHUNK
from libs.contracts.events import CANCELLED_RULE
from libs.contracts.routing import Channel, partition_of
from services.audience.listing import Page


class Rule(StrEnum):
    """Why a recipient gets nothing."""

    UNKNOWN_CLIENT = "unknown_client"
    DUPLICATE_CLIENT = "duplicate_client"
    NO_PHONE = "no_phone"
    NO_URL = "no_url"
    INVALID_ADDRESS = "invalid_address"
    DUPLICATE_ADDRESS = "duplicate_address"
    CANCELLED = CANCELLED_RULE


_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
# Only its shape: whether we may call it is decided where it is taken and where it is called.
_URL = re.compile(r"https?://[!-~]{1,2040}")

NO_ADDRESS = {Channel.SMS: Rule.NO_PHONE, Channel.VIBER: Rule.NO_PHONE, Channel.WEBHOOK: Rule.NO_URL}
VALID_ADDRESS = {Channel.SMS: _PHONE, Channel.VIBER: _PHONE, Channel.WEBHOOK: _URL}


@dataclass(frozen=True, slots=True)
class Choice:
    """A page's recipients in two groups, each in columns. Recipients given by address have no client id; those left
    out by client id may have no address."""

    client_ids: list[int | None] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    left_client_ids: list[int | None] = field(default_factory=list)
    left_addresses: list[str | None] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)

    def leave_out(self, rule: Rule, client_id: int | None, address: str | None = None) -> None:
        """Add a recipient who gets nothing."""
        self.left_client_ids.append(client_id)
        self.left_addresses.append(address)
        self.rules.append(rule)


@dataclass(frozen=True, slots=True)
class PlannedChunk:
    """Deliveries of one partition; the i-th has number `first_number` + i, or `numbers[i]` where these are given."""

    partition: int
    first_number: int
    client_ids: Sequence[int | None]
    addresses: Sequence[str]
    numbers: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class SuppressedChunk:
    """Recipients who get nothing; the i-th has number `first_number` + i, or `numbers[i]` where these are given."""

    first_number: int
    client_ids: Sequence[int | None]
    addresses: Sequence[str | None]
    rules: Sequence[str]
    numbers: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class PagePlan:
    """Every decision about one page. Its numbers run without a gap from `first_number` to `next_number` - 1: the chunks
    one after another, then the suppressed. Where the recipients keep the numbers of an earlier step or generation, the
    chunks say them, and `next_number` - `first_number` is only how many they are."""

    first_number: int
    next_number: int
    next_cursor: str | None
    chunks: Sequence[PlannedChunk]
    suppressed: Sequence[SuppressedChunk]

    @property
    def planned_count(self) -> int:
        """How many get a message."""
        return sum(len(chunk.addresses) for chunk in self.chunks)

    @property
    def suppressed_count(self) -> int:
        """How many do not."""
        return sum(len(chunk.rules) for chunk in self.suppressed)


def choose(page: Page, channel: Channel, contacts: Mapping[int, str | None], taken: Collection[int]) -> Choice:
    """Decide who of `page` gets a message.

    `contacts` has the address on `channel` of every known client (none: known, without one); `taken` are the
    `address_key`s of whom earlier pages of the notification planned.
    """
    return _choose_clients(page, channel, contacts, taken) if page.client_ids else _choose_addresses(page, channel)


def _choose_clients(page: Page, channel: Channel, contacts: Mapping[int, str | None], taken: Collection[int]) -> Choice:
    choice = Choice()
    seen = set(taken)
    for index, client_id in enumerate(page.client_ids):
        address = contacts.get(client_id)
        if page.repeated and index in page.repeated:
            choice.leave_out(Rule.DUPLICATE_CLIENT, client_id)
        elif address is None:
            choice.leave_out(NO_ADDRESS[channel] if client_id in contacts else Rule.UNKNOWN_CLIENT, client_id)
        elif (key := address_key(address)) in seen:
            choice.leave_out(Rule.DUPLICATE_ADDRESS, client_id, address)
        else:
            seen.add(key)
            choice.client_ids.append(client_id)
            choice.addresses.append(address)
    return choice


def _choose_addresses(page: Page, channel: Channel) -> Choice:
    """An address is itself the entry of the list, so `page.repeated` knows every repetition on every page."""
    choice = Choice()
    is_valid = VALID_ADDRESS[channel].fullmatch
    for index, address in enumerate(page.addresses):
        if index in page.repeated:
            choice.leave_out(Rule.DUPLICATE_ADDRESS, None, address)
        elif not is_valid(address):
            choice.leave_out(Rule.INVALID_ADDRESS, None, address)
        else:
            choice.client_ids.append(None)
            choice.addresses.append(address)
    return choice


def address_key(address: str) -> int:
    """An address as a signed 64-bit number. Phones have one each (E.164 has 15 digits at most); of two URLs the chance
    to have the same is 2^-64."""
    if address[0] == "+":
        return int(address)
    return int.from_bytes(hashlib.blake2b(address.encode(), digest_size=8).digest(), signed=True)


def partition_for(tenant: str, ordering_key: str | None, address: str, partitions: int) -> int:
    """Where a delivery goes: by the ordering key, else by the recipient's address."""
    return partition_of(tenant, address if ordering_key is None else ordering_key, partitions)


def plan_page(
    choice: Choice,
    *,
    tenant: str,
    ordering_key: str | None,
    partitions: int,
    first_number: int,
    next_cursor: str | None,
) -> PagePlan:
    """Number the recipients of `choice` from `first_number` on and cut them into chunks.

    Recipients are sorted by partition, so that a chunk is of one partition and a range of numbers. The partition is
    that of the ordering key, else of the recipient's address.
    """
    groups = _by_partition(choice, tenant, ordering_key, partitions)
    chunks = tuple(_chunks(groups, first_number))
    number = first_number + len(choice.addresses)
    suppressed = tuple(
        SuppressedChunk(
            number + start,
            choice.left_client_ids[start : start + MAX_CHUNK],
            choice.left_addresses[start : start + MAX_CHUNK],
            choice.rules[start : start + MAX_CHUNK],
        )
        for start in range(0, len(choice.rules), MAX_CHUNK)
    )
    return PagePlan(first_number, number + len(choice.rules), next_cursor, chunks, suppressed)


Group = tuple[list[int | None], list[str]]


def _by_partition(choice: Choice, tenant: str, ordering_key: str | None, partitions: int) -> Sequence[Group]:
    groups: list[Group] = [([], []) for _ in range(partitions)]
    if ordering_key is not None:
        groups[partition_of(tenant, ordering_key, partitions)] = (choice.client_ids, choice.addresses)
        return groups
    for client_id, address in zip(choice.client_ids, choice.addresses, strict=True):
        client_ids, addresses = groups[partition_of(tenant, address, partitions)]
        client_ids.append(client_id)
        addresses.append(address)
    return groups


def _chunks(groups: Sequence[Group], number: int) -> Iterator[PlannedChunk]:
    for partition, (client_ids, addresses) in enumerate(groups):
        for start in range(0, len(addresses), MAX_CHUNK):
            chunk = addresses[start : start + MAX_CHUNK]
            yield PlannedChunk(partition, number, client_ids[start : start + MAX_CHUNK], chunk)
            number += len(chunk)
