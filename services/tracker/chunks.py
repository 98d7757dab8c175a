"""What chunks say about deliveries: everybody in them is queued, or gets nothing; and who they are.

A chunk speaks of up to 500 deliveries; its pieces are cut at the borders of the blocks.
"""

import json
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from libs.contracts.commands import SendDeliveries
from libs.contracts.events import CANCELLED_RULE, DeliverySuppressed
from libs.contracts.ids import NotificationId, delivery_id
from libs.contracts.routing import Channel
from libs.contracts.states import DeliveryState
from services.tracker.blocks import BLOCK_SIZE, BlockKey, Facts, MutableFacts, by_block, grouped, locate
from services.tracker.lifecycle import CODES, Fact

NO_CLIENT = -1  # client ids are not negative
_SUPPRESSED = CODES[DeliveryState.SUPPRESSED]
_LEFT_OUT = {CANCELLED_RULE: CODES[DeliveryState.CANCELLED]}

V = TypeVar("V")


class Piece(NamedTuple):
    """The part of a chunk that lies in one block: the deliveries at `offsets` are those at `places` of the chunk."""

    key: BlockKey
    offsets: Sequence[int]
    places: Sequence[int]

    def of(self, column: Sequence[V]) -> Sequence[V]:
        """The piece's part of a column of the chunk."""
        if isinstance(self.places, range):
            return column[self.places.start : self.places.stop]
        return [column[place] for place in self.places]


class Recipients(NamedTuple):
    """Who the deliveries of a piece go to. `client_ids` are packed 8-byte integers (-1: none), `addresses` a JSON list;
    none where nothing is sent. `offsets` are none where they follow each other from `first_offset`."""

    key: BlockKey
    generation: int
    first_offset: int
    channel: Channel
    client_ids: bytes
    addresses: str | None
    offsets: bytes | None


class Plan(NamedTuple):
    """What chunks tell: facts about first steps and generations, facts about `later` ones, and who it is about."""

    facts: Facts
    later: Facts
    recipients: Sequence[Recipients]


def cut(notification_id: NotificationId, tenant: str, *, step: int, first_number: int, count: int) -> Iterator[Piece]:
    """The pieces of `count` consecutive deliveries. Raises ValueError when the last number does not fit an id."""
    delivery_id(notification_id, first_number + count - 1, step=step)
    index, offset = locate(delivery_id(notification_id, first_number, step=step))
    low = 0
    while low < count:
        high = min(low + BLOCK_SIZE - offset, count)
        yield Piece(BlockKey(index, tenant), range(offset, offset + high - low), range(low, high))
        index, offset, low = index + 1, 0, high


def scattered(notification_id: NotificationId, tenant: str, *, step: int, numbers: Sequence[int]) -> Iterator[Piece]:
    """The pieces of the deliveries with these numbers. Raises ValueError when one does not fit an id."""
    index, _ = locate(delivery_id(notification_id, 0, step=step))
    for block, places in by_block(numbers).items():
        yield Piece(BlockKey(index + block, tenant), [numbers[place] % BLOCK_SIZE for place in places], places)


def planned(chunks: Sequence[SendDeliveries]) -> Plan:
    """Everybody in `chunks` is queued."""
    first: MutableFacts = {}
    later: MutableFacts = {}
    recipients = []
    for chunk in chunks:
        fact = Fact(CODES[DeliveryState.QUEUED], chunk.generation, 0, int(chunk.occurred_at.timestamp()), "")
        facts = later if chunk.step or chunk.generation else first
        for piece in _pieces(chunk, len(chunk.addresses)):
            facts.setdefault(piece.key, []).append((piece.offsets, fact))
            recipients.append(_recipients(piece, chunk, json.dumps(piece.of(chunk.addresses))))
    return Plan(first, later, recipients)


def suppressed(chunks: Sequence[DeliverySuppressed]) -> Plan:
    """Everybody in `chunks` gets nothing, by a rule; whom a cancel overtook on the way to it is cancelled."""
    first: MutableFacts = {}
    later: MutableFacts = {}
    recipients = []
    for chunk in chunks:
        at = int(chunk.occurred_at.timestamp())
        facts = later if chunk.step or chunk.generation else first
        for piece in _pieces(chunk, len(chunk.rules)):
            by_rule = grouped(piece.of(chunk.rules), piece.offsets)
            told = [
                (alike, Fact(_LEFT_OUT.get(rule, _SUPPRESSED), chunk.generation, 0, at, rule))
                for rule, alike in by_rule.items()
            ]
            facts.setdefault(piece.key, []).extend(told)
            recipients.append(_recipients(piece, chunk, None))
    return Plan(first, later, recipients)


def _pieces(chunk: SendDeliveries | DeliverySuppressed, count: int) -> Iterator[Piece]:
    if chunk.numbers is not None:
        return scattered(chunk.notification_id, chunk.tenant, step=chunk.step, numbers=chunk.numbers)
    return cut(chunk.notification_id, chunk.tenant, step=chunk.step, first_number=chunk.first_number, count=count)


def _recipients(piece: Piece, chunk: SendDeliveries | DeliverySuppressed, addresses: str | None) -> Recipients:
    ids = piece.of(chunk.client_ids)
    packed = struct.pack(f"<{len(ids)}q", *[NO_CLIENT if client_id is None else client_id for client_id in ids])
    offsets = None if isinstance(piece.offsets, range) else bytes(piece.offsets)
    return Recipients(piece.key, chunk.generation, piece.offsets[0], chunk.channel, packed, addresses, offsets)
