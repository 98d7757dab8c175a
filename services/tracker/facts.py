"""What was tried and reported of deliveries: facts by block for the state, and the pieces of the history to keep.

An event speaks of up to 500 deliveries; its pieces are cut at the borders of the blocks.
"""

import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from itertools import repeat
from typing import NamedTuple, TypeAlias
from uuid import UUID

from libs.contracts.events import DeliveryAttempted, ReceiptReceived
from libs.contracts.ids import NUMBER_BITS, delivery_id
from libs.contracts.states import DeliveryState
from services.tracker.blocks import (
    BLOCK_SIZE,
    MOST_ATTEMPTS,
    OFFSET_BITS,
    BlockKey,
    MutableFacts,
    Named,
    by_block,
    grouped,
    locate,
)
from services.tracker.lifecycle import CODES, Fact

# How a carrier's own id is found again: the halves of a 128-bit hash, of which the first is indexed.
Handle: TypeAlias = tuple[int, int]
# Where a delivery stands: its block, the offset in it, and the generation that was submitted.
Place: TypeAlias = tuple[BlockKey, int, int]

# Offset, code of the state, length of the carrier's code (which follows), its clock and ours (milliseconds since 1970).
ENTRY = struct.Struct("<BBBqq")
MAX_CODE = 255
_pack_entry = ENTRY.pack
_HALVES = struct.Struct("<qq")
_DELIVERED = CODES[DeliveryState.DELIVERED]


class Attempts(NamedTuple):
    """What one window told of one block, in columns: a byte an attempt for offsets, numbers of the attempt and codes of
    the state; JSON lists for reasons (empty text when there are none) and the provider's message ids."""

    key: BlockKey
    generation: int
    provider: str
    finished_at: datetime
    offsets: bytes
    attempts: bytes
    states: bytes
    reasons: str
    message_ids: str


class Submissions(NamedTuple):
    """What the carrier's own ids of one window mean: `handles[i]` is the delivery with the low bits `lows[i]` (step and
    number) of its notification."""

    notification_id: UUID
    tenant: str
    generation: int
    handles: Sequence[Handle]
    lows: Sequence[int]


class Receipts(NamedTuple):
    """What carriers reported of one block: `entries` are packed one after another (see `unpack_entries`)."""

    key: BlockKey
    generation: int
    provider: str
    entries: bytes


# A report nobody knows the delivery of yet: handle, provider, code of the state, the carrier's code, its clock and ours
# (milliseconds since 1970). A plain tuple: there is one for every receipt.
Orphan: TypeAlias = tuple[Handle, str, int, str, int, int]


def handles_of(provider: str, message_ids: Iterable[str]) -> list[Handle]:
    """The handles of a carrier's message ids."""
    prefix, unpack = f"{provider}\0".encode(), _HALVES.unpack
    return [
        unpack(blake2b(prefix + message_id.encode(errors="replace"), digest_size=16).digest())
        for message_id in message_ids
    ]


def attempted(windows: Sequence[DeliveryAttempted]) -> tuple[MutableFacts, Sequence[Attempts], Sequence[Submissions]]:
    """Where each delivery of `windows` stands after its attempt, and the carriers' ids of those that were taken.

    Raises ValueError for a number that fits no delivery's id."""
    facts: MutableFacts = {}
    history = []
    for window in windows:
        at, generation = int(window.finished_at.timestamp()), window.generation
        index, _ = locate(delivery_id(window.notification_id, 0, step=window.step))
        codes = [CODES[state] for state in window.states]
        for number, positions in by_block(window.numbers).items():
            key = BlockKey(index + number, window.tenant)
            offsets = [window.numbers[at] % BLOCK_SIZE for at in positions]
            outcomes = [(codes[at], min(window.attempts[at], MOST_ATTEMPTS), window.reasons[at]) for at in positions]
            told = facts.setdefault(key, [])
            for (code, attempt, reason), alike in grouped(outcomes, offsets).items():
                told.append((alike, Fact(code, generation, attempt, at, reason)))
            states, attempts, reasons = zip(*outcomes, strict=True)
            history.append(
                Attempts(
                    key,
                    generation,
                    window.provider,
                    window.finished_at,
                    bytes(offsets),
                    bytes(attempts),
                    bytes(states),
                    json.dumps(reasons) if any(reasons) else "",
                    json.dumps([window.provider_message_ids[at] for at in positions]),
                )
            )
    return facts, history, [found for window in windows if (found := _submissions(window)).handles]


def slipped(windows: Sequence[DeliveryAttempted]) -> Mapping[Named, int]:
    """How many deliveries of each notification were claimed before a cancel and finished after it."""
    found: dict[Named, int] = {}
    for window in windows:
        if window.slipped:
            finished = sum(state is not DeliveryState.RETRYING for state in window.states)
            key = (window.notification_id, window.tenant)
            found[key] = found.get(key, 0) + finished
    return found


def receipts(events: Sequence[ReceiptReceived]) -> Sequence[Orphan]:
    """Every report of `events`, before anything is known of its delivery."""
    found: list[Orphan] = []
    for event in events:
        found += zip(
            handles_of(event.provider, event.provider_message_ids),
            repeat(event.provider),
            [CODES[state] for state in event.states],
            event.codes,
            [int(reported_at.timestamp() * 1000) for reported_at in event.reported_at],
            repeat(_milliseconds(event.received_at)),
        )
    return found


def places(submissions: Sequence[Submissions]) -> dict[Handle, Place]:
    """Where the carriers' ids lead. An id that a carrier used again means the later delivery."""
    found: dict[Handle, Place] = {}
    ordered = sorted(submissions, key=lambda told: (told.notification_id.int, told.generation))
    for notification_id, tenant, generation, handles, lows in ordered:
        base = notification_id.int >> OFFSET_BITS
        keys: dict[int, BlockKey] = {}
        for handle, low in zip(handles, lows, strict=True):
            block = low >> OFFSET_BITS
            key = keys.get(block)
            if key is None:
                key = keys[block] = BlockKey(base + block, tenant)
            found[handle] = key, low % BLOCK_SIZE, generation
    return found


def received(
    reports: Iterable[Orphan], known: Mapping[Handle, Place]
) -> tuple[MutableFacts, Sequence[Receipts], Sequence[Orphan]]:
    """What `reports` say of the deliveries they belong to, the history to keep, and the reports that stay orphans."""
    orphans = []
    told: dict[tuple[BlockKey, int, str], list[tuple[int, Orphan]]] = {}
    for report in reports:
        place = known.get(report[0])
        if place is None:
            orphans.append(report)
            continue
        key, offset, generation = place
        group = (key, generation, report[1])
        if (reported := told.get(group)) is None:
            reported = told[group] = []
        reported.append((offset, report))
    facts: MutableFacts = {}
    history = []
    for (key, generation, provider), reported in told.items():
        offsets, outcomes, entries = [], [], []
        for offset, (_, _, state, code, reported_at, received_at) in reported:
            offsets.append(offset)
            outcomes.append((state, code if state > _DELIVERED else "", received_at // 1000))
            packed = _code(code)
            entries.append(_pack_entry(offset, state, len(packed), reported_at, received_at) + packed)
        block = facts.setdefault(key, [])
        for (state, reason, at), alike in grouped(outcomes, offsets).items():
            block.append((alike, Fact(state, generation, 0, at, reason)))
        history.append(Receipts(key, generation, provider, b"".join(entries)))
    return facts, history, orphans


def unpack_entries(entries: bytes) -> Iterator[tuple[int, int, str, int, int]]:
    """What `received` packed: offset, code of the state, the carrier's code, its clock and ours in milliseconds."""
    at = 0
    while at < len(entries):
        offset, state, length, reported_at, received_at = ENTRY.unpack_from(entries, at)
        at += ENTRY.size + length
        yield offset, state, entries[at - length : at].decode(errors="replace"), reported_at, received_at


def _submissions(window: DeliveryAttempted) -> Submissions:
    base = window.step << NUMBER_BITS
    handles = handles_of(window.provider, filter(None, window.provider_message_ids))
    taken = zip(window.numbers, window.provider_message_ids, strict=True)
    lows = [base | number for number, message_id in taken if message_id]
    return Submissions(window.notification_id, window.tenant, window.generation, handles, lows)


@lru_cache(maxsize=1_024)  # carriers have few codes
def _code(code: str) -> bytes:
    return code.encode(errors="replace")[:MAX_CODE]


def _milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)
