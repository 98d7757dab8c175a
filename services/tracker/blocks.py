"""Sixty-four consecutive deliveries of a notification as one value, and the facts folded into it.

A row per delivery costs a row version per fact; a block is written once for all that a batch tells about it.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, TypeAlias
from uuid import UUID

from libs.contracts.ids import DeliveryId, NotificationId
from services.tracker.lifecycle import ABSENT, FIRST_FINAL, STATES, Fact, is_correction, supersedes

OFFSET_BITS = 6
BLOCK_SIZE = 1 << OFFSET_BITS
_OFFSET_MASK = BLOCK_SIZE - 1
_DETAIL = struct.Struct("<BBBxI")  # generation, attempts, index of the reason (0: none), seconds since 1970
_LOW_BITS = 32
MAX_GENERATION = 255
MOST_ATTEMPTS = 255  # what does not fit is counted no further
_MOST_WORDS = 255

BLANK_STATES = bytes(BLOCK_SIZE)
BLANK_DETAILS = bytes(BLOCK_SIZE * _DETAIL.size)
STATE_COUNT = max(STATES) + 1  # ABSENT among them


class BlockKey(NamedTuple):
    """Which block. `number` is its first delivery's id without the offset bits; keys sort as these ids."""

    number: int
    tenant: str

    @property
    def block_id(self) -> UUID:
        """The id of the block's first delivery."""
        return _uuid(self.number << OFFSET_BITS)

    @property
    def notification_id(self) -> NotificationId:
        """The notification whose deliveries these are."""
        return NotificationId(_uuid(self.number << OFFSET_BITS >> _LOW_BITS << _LOW_BITS))


# A batch asks for the same few ids again and again, and making a UUID costs a microsecond.
@lru_cache(maxsize=16_384)
def _uuid(value: int) -> UUID:
    return UUID(int=value)


class Standing(NamedTuple):
    """Where one delivery of a block stands."""

    fact: Fact
    attempts: int


def locate(delivery: UUID) -> tuple[int, int]:
    """The block's number and the offset in it."""
    value = delivery.int
    return value >> OFFSET_BITS, value & _OFFSET_MASK


def delivery_at(key: BlockKey, offset: int) -> DeliveryId:
    """The id of the delivery at `offset`; the inverse of `locate`."""
    return DeliveryId(UUID(int=key.number << OFFSET_BITS | offset))


@dataclass(slots=True)
class Block:
    """The packed state of a block. `states` has a byte a delivery, `details` eight; `reasons` are the words these point
    to, `reworded` says that they changed."""

    states: bytearray = field(default_factory=lambda: bytearray(BLANK_STATES))
    details: bytearray = field(default_factory=lambda: bytearray(BLANK_DETAILS))
    reasons: list[str] = field(default_factory=list)
    changed: bool = False
    reworded: bool = False

    @classmethod
    def unpack(cls, states: bytes, details: bytes, reasons: str) -> "Block":
        """A block as it was stored."""
        return cls(bytearray(states), bytearray(details), json.loads(reasons) if reasons else [])

    def packed_reasons(self) -> str:
        """The words as they are stored: nothing where there are none."""
        return json.dumps(self.reasons) if self.reasons else ""

    def at(self, offset: int) -> Standing | None:
        """Where the delivery at `offset` stands; none when nobody spoke of it."""
        state = self.states[offset]
        if state == ABSENT:
            return None
        generation, attempts, reason, at = _DETAIL.unpack_from(self.details, offset * _DETAIL.size)
        return Standing(Fact(state, generation, attempts, at, self.reasons[reason - 1] if reason else ""), attempts)

    def fold(self, offsets: Sequence[int], fact: Fact, counts: list[int]) -> Sequence[int]:
        """Take in a fact about several deliveries and move them in `counts` (by code of state); the offsets of those
        it corrected. Raises ValueError for a generation beyond 255."""
        if fact.generation > MAX_GENERATION:
            raise ValueError("a delivery has at most 255 generations")
        first, end = offsets[0], offsets[-1] + 1
        if end - first == len(offsets) > 1 and self._alike(first, end) and _is_range(offsets):
            moved = [0] * STATE_COUNT
            corrected = offsets if self._fold_one(first, fact, moved) else ()
            self.states[first:end] = self.states[first : first + 1] * (end - first)
            self.details[first * 8 : end * 8] = self.details[first * 8 : first * 8 + 8] * (end - first)
            for state, change in enumerate(moved):
                counts[state] += change * (end - first)
            return corrected
        left = self._not_just_risen(offsets, fact, counts)
        return [offset for offset in left if self._fold_one(offset, fact, counts)]

    def _not_just_risen(self, offsets: Sequence[int], fact: Fact, counts: list[int]) -> Sequence[int]:
        """Take `fact` in where it is the plain next step of the same attempt (the rule of `supersedes` for nearly every
        receipt, without taking the delivery apart); the offsets that need a closer look."""
        states, details, new = self.states, self.details, fact.state
        word = self._word(fact.reason) if fact.reason else 0
        at = fact.at.to_bytes(4, "little")
        left = []
        for offset in offsets:
            detail, old = offset * 8, states[offset]
            rises = ABSENT < old < new and old < FIRST_FINAL
            if rises and details[detail] == fact.generation and details[detail + 1] >= fact.attempt:
                states[offset] = new
                details[detail + 2] = word
                details[detail + 4 : detail + 8] = at
                counts[old] -= 1
                counts[new] += 1
                self.changed = True
            else:
                left.append(offset)
        return left

    def _alike(self, first: int, end: int) -> bool:
        """Whether all of a range stand exactly alike, so that a fact does to all of them what it does to one."""
        count = end - first
        return (
            self.states[first:end] == self.states[first : first + 1] * count
            and self.details[first * 8 : end * 8] == self.details[first * 8 : first * 8 + 8] * count
        )

    def _fold_one(self, offset: int, fact: Fact, counts: list[int]) -> bool:
        """Whether it was a correction."""
        standing = self.at(offset)
        if standing is None:
            self._put(offset, fact, fact.attempt, counts)
            return False
        old, attempts = standing
        if fact.generation > old.generation or (fact.generation == old.generation and fact.attempt > attempts):
            attempts = fact.attempt
        if supersedes(fact, old):
            self._put(offset, fact, attempts, counts)
            return fact.generation == old.generation and is_correction(old.state, fact.state)
        if attempts != standing.attempts:
            self._put(offset, old, attempts, counts)
        return False

    def _put(self, offset: int, fact: Fact, attempts: int, counts: list[int]) -> None:
        reason = self._word(fact.reason) if fact.reason else 0
        _DETAIL.pack_into(self.details, offset * _DETAIL.size, fact.generation, attempts, reason, fact.at)
        counts[self.states[offset]] -= 1
        counts[fact.state] += 1
        self.states[offset] = fact.state
        self.changed = True

    def _word(self, reason: str) -> int:
        if reason not in self.reasons:
            if len(self.reasons) == _MOST_WORDS:
                self._forget_unused_words()
            self.reasons.append(reason)
            self.reworded = True
        return self.reasons.index(reason) + 1

    def _forget_unused_words(self) -> None:
        indexes = self.details[2 :: _DETAIL.size]
        used = sorted(set(indexes) - {0})
        renumbered = {old: new for new, old in enumerate(used, 1)} | {0: 0}
        self.reasons[:] = [self.reasons[old - 1] for old in used]
        self.details[2 :: _DETAIL.size] = bytes(renumbered[index] for index in indexes)


Told: TypeAlias = tuple[Sequence[int], Fact]
MutableFacts: TypeAlias = dict[BlockKey, list[Told]]
Facts: TypeAlias = Mapping[BlockKey, Sequence[Told]]
"""Facts by block: the offsets of deliveries, and what is said of all of them."""


@dataclass(slots=True)
class Folded:
    """What a batch of facts did: the blocks that changed, by how much each notification's count of each state (by code)
    changed, and which final states were taken back (delivery, tenant, seconds since 1970)."""

    changed: dict[BlockKey, Block] = field(default_factory=dict)
    counts: dict[tuple[NotificationId, str], list[int]] = field(default_factory=dict)
    corrections: list[tuple[DeliveryId, str, int]] = field(default_factory=list)


def fold(blocks: Mapping[BlockKey, Block], facts: Facts) -> Folded:
    """Fold `facts` into `blocks` (changed in place; each key of `facts` is there).

    Only real transitions count, so that a fact told twice counts once.
    """
    folded = Folded()
    for key, told in facts.items():
        block = blocks[key]
        notification = (key.notification_id, key.tenant)
        if (counts := folded.counts.get(notification)) is None:
            counts = folded.counts[notification] = [0] * STATE_COUNT
        for offsets, fact in told:
            for offset in block.fold(offsets, fact, counts):
                folded.corrections.append((delivery_at(key, offset), key.tenant, fact.at))
        if block.changed:
            folded.changed[key] = block
    folded.counts = {notification: counts for notification, counts in folded.counts.items() if any(counts)}
    return folded


def _is_range(offsets: Sequence[int]) -> bool:
    return isinstance(offsets, range) or list(offsets) == list(range(offsets[0], offsets[-1] + 1))
