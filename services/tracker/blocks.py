"""Sixty-four consecutive deliveries of a notification as one value, and the facts folded into it.

A row per delivery costs a row version per fact; a block is written once for all that a batch tells about it.
"""

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, TypeAlias, TypeVar
from uuid import UUID

from libs.contracts.ids import MAX_NUMBER, MAX_STEP, NUMBER_BITS, DeliveryId, NotificationId
from libs.contracts.states import DeliveryState
from services.tracker.lifecycle import ABSENT, CODES, FIRST_FINAL, STATES, Fact, is_correction, supersedes

OFFSET_BITS = 6
BLOCK_SIZE = 1 << OFFSET_BITS
_OFFSET_MASK = BLOCK_SIZE - 1
_DETAIL = struct.Struct("<BBBxI")  # generation, attempts, index of the reason (0: none), seconds since 1970
_LOW_BITS = 32
LOW_MASK = (1 << _LOW_BITS) - 1  # what of a delivery's id is not its notification's
MAX_GENERATION = 255
MOST_ATTEMPTS = 255  # what does not fit is counted no further
_MOST_WORDS = 255
_SUPPRESSED = CODES[DeliveryState.SUPPRESSED]

Kind = TypeVar("Kind")

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

    @property
    def step(self) -> int:
        """The fallback step these deliveries belong to."""
        return self.number >> (NUMBER_BITS - OFFSET_BITS) & MAX_STEP

    @property
    def first_number(self) -> int:
        """The number of the recipient of the block's first delivery."""
        return self.number << OFFSET_BITS & MAX_NUMBER

    def at_step(self, step: int) -> "BlockKey":
        """The block of the same recipients at another step."""
        return BlockKey(self.number + (step - self.step << NUMBER_BITS - OFFSET_BITS), self.tenant)


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

    def generation(self, offset: int) -> int:
        """The generation of the delivery at `offset`; 0 when nobody spoke of it."""
        return self.details[offset * _DETAIL.size]

    def generations(self) -> bytes:
        """The generation of every delivery."""
        return bytes(self.details[:: _DETAIL.size])

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


Named: TypeAlias = tuple[NotificationId, str]
"""A notification and its tenant."""


@dataclass(slots=True)
class Folded:
    """What a batch of facts did: the blocks, those that changed, by how much each notification's count of each state
    (by code) changed, by how much its totals (planned, suppressed), and which final states were taken back (delivery,
    tenant, seconds since 1970)."""

    blocks: Mapping[BlockKey, Block]
    changed: dict[BlockKey, Block] = field(default_factory=dict)
    counts: dict[Named, list[int]] = field(default_factory=dict)
    totals: dict[Named, tuple[int, int]] = field(default_factory=dict)
    corrections: list[tuple[DeliveryId, str, int]] = field(default_factory=list)

    def counts_of(self, key: BlockKey) -> list[int]:
        """The changes of the counts of the notification a block belongs to."""
        notification = (key.notification_id, key.tenant)
        if (counts := self.counts.get(notification)) is None:
            counts = self.counts[notification] = [0] * STATE_COUNT
        return counts

    def moves(self) -> dict[Named, list[int]]:
        """The counts that changed."""
        return {notification: counts for notification, counts in self.counts.items() if any(counts)}


def fold(blocks: Mapping[BlockKey, Block], facts: Facts, later: Facts = {}) -> Folded:  # noqa: B006 - never changed
    """Fold `facts` into `blocks` (changed in place; each key of the facts is there).

    Only real transitions count, so that a fact told twice counts once. How many deliveries a notification has, the
    audience tells of its first step and generation alone: with a plan of a `later` one the totals move as it does.
    """
    folded = Folded(blocks)
    for key, told in facts.items():
        _fold_block(folded, key, told)
    for key, told in later.items():
        before = folded.counts_of(key).copy()
        _fold_block(folded, key, told)
        change = [new - old for new, old in zip(folded.counts_of(key), before, strict=True)]
        notification, suppressed = (key.notification_id, key.tenant), change[_SUPPRESSED]
        planned, already = folded.totals.get(notification, (0, 0))
        folded.totals[notification] = planned + sum(change[1:]) - suppressed, already + suppressed
    return folded


def _fold_block(folded: Folded, key: BlockKey, told: Iterable[Told]) -> None:
    block, counts = folded.blocks[key], folded.counts_of(key)
    for offsets, fact in told:
        for offset in block.fold(offsets, fact, counts):
            folded.corrections.append((delivery_at(key, offset), key.tenant, fact.at))
    if block.changed:
        folded.changed[key] = block


def by_block(numbers: Sequence[int]) -> Mapping[int, Sequence[int]]:
    """The positions in `numbers` (of recipients) by block, counted from that of recipient 0. Raises ValueError for a
    number that fits no delivery's id."""
    if min(numbers) < 0 or max(numbers) > MAX_NUMBER:
        raise ValueError("a recipient's number does not fit a delivery id")
    found: dict[int, list[int]] = {}
    for position, number in enumerate(numbers):
        found.setdefault(number >> OFFSET_BITS, []).append(position)
    return found


def grouped(outcomes: Sequence[Kind], offsets: Sequence[int]) -> Mapping[Kind, Sequence[int]]:
    """The offsets with the same outcome."""
    if outcomes.count(outcomes[0]) == len(outcomes):
        return {outcomes[0]: offsets}
    found: dict[Kind, list[int]] = {}
    for outcome, offset in zip(outcomes, offsets, strict=True):
        found.setdefault(outcome, []).append(offset)
    return found


def _is_range(offsets: Sequence[int]) -> bool:
    return isinstance(offsets, range) or list(offsets) == list(range(offsets[0], offsets[-1] + 1))
