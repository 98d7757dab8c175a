"""Recipients of an earlier step or generation: who gets the next message, under the number each has already."""

from collections.abc import Mapping, Sequence

from libs.contracts.commands import ExpandAudience, Recipients
from libs.contracts.routing import Channel
from services.audience.planning import (
    NO_ADDRESS,
    VALID_ADDRESS,
    PagePlan,
    PlannedChunk,
    Rule,
    SuppressedChunk,
    partition_for,
)

Chosen = tuple[int, int | None, str]
"""Number, client id and address of somebody who gets the message."""
LeftOut = tuple[int, int | None, str | None, Rule]
"""The same of somebody who does not, and why."""


def plan_recipients(
    recipients: Recipients,
    channel: Channel,
    contacts: Mapping[int, str | None],
    *,
    tenant: str,
    ordering_key: str | None,
    partitions: int,
) -> PagePlan:
    """Decide who of `recipients` gets a message on `channel`, and cut them into one chunk a partition.

    `contacts` has the address on `channel` of every known client (none: known, without one). A person and an address
    are planned once.
    """
    groups: dict[int, list[Chosen]] = {}
    left: list[LeftOut] = []
    seen: set[int | str] = set()
    for number, client_id, given in zip(recipients.numbers, recipients.client_ids, recipients.addresses, strict=True):
        address = given if client_id is None else contacts.get(client_id)
        rule = _rule(client_id, address, channel, contacts, seen)
        if rule is not None or address is None:
            left.append((number, client_id, address, rule or NO_ADDRESS[channel]))
            continue
        seen |= {address} if client_id is None else {address, client_id}
        partition = partition_for(tenant, ordering_key, address, partitions)
        groups.setdefault(partition, []).append((number, client_id, address))
    chunks = tuple(_chunk(partition, groups[partition]) for partition in sorted(groups))
    return _plan(recipients.numbers, chunks, left)


def closed_page(command: ExpandAudience) -> PagePlan:
    """The page of a notification that was cancelled: nobody, and no page after it. Those who have a number already are
    told off one by one: somebody waits for them."""
    recipients = command.recipients
    if recipients is None:
        return PagePlan(command.next_number, command.next_number, None, (), ())
    columns = zip(recipients.numbers, recipients.client_ids, recipients.addresses, strict=True)
    return _plan(recipients.numbers, (), [(*one, Rule.CANCELLED) for one in columns])


def _rule(
    client_id: int | None,
    address: str | None,
    channel: Channel,
    contacts: Mapping[int, str | None],
    seen: set[int | str],
) -> Rule | None:
    """Why somebody gets nothing, or none."""
    if client_id is not None and client_id in seen:
        return Rule.DUPLICATE_CLIENT
    if client_id is not None and client_id not in contacts:
        return Rule.UNKNOWN_CLIENT
    if address is None:
        return NO_ADDRESS[channel]
    if not VALID_ADDRESS[channel].fullmatch(address):
        return Rule.INVALID_ADDRESS
    return Rule.DUPLICATE_ADDRESS if address in seen else None


def _chunk(partition: int, chosen: Sequence[Chosen]) -> PlannedChunk:
    numbers, client_ids, addresses = (list(column) for column in zip(*chosen, strict=True))
    return PlannedChunk(partition, numbers[0], client_ids, addresses, numbers)


def _plan(numbers: Sequence[int], chunks: tuple[PlannedChunk, ...], left: Sequence[LeftOut]) -> PagePlan:
    suppressed: tuple[SuppressedChunk, ...] = ()
    if left:
        left_numbers, client_ids, addresses, rules = (list(column) for column in zip(*left, strict=True))
        suppressed = (SuppressedChunk(left_numbers[0], client_ids, addresses, rules, left_numbers),)
    return PagePlan(numbers[0], numbers[0] + len(numbers), None, chunks, suppressed)
