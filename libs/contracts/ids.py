"""Identifiers: what is computed from what, so that nothing has to be looked up.

A notification's id is a UUIDv7 (RFC 9562, 5.7) whose low 32 bits are zero: 48 bits of milliseconds and 42 random bits.
A delivery's id is the same UUID with the fallback step (4 bits) and the recipient's number (28 bits) in those low bits.
"""

import secrets
from datetime import UTC, datetime
from typing import NamedTuple, NewType
from uuid import UUID, uuid5

NotificationId = NewType("NotificationId", UUID)
DeliveryId = NewType("DeliveryId", UUID)
ChunkId = NewType("ChunkId", UUID)
ProviderKey = NewType("ProviderKey", UUID)

STEP_BITS = 4
NUMBER_BITS = 28
RANDOM_BITS = 42
MAX_STEP = (1 << STEP_BITS) - 1
MAX_NUMBER = (1 << NUMBER_BITS) - 1
_LOW_MASK = (1 << (STEP_BITS + NUMBER_BITS)) - 1


class DeliveryParts(NamedTuple):
    """What a delivery's id is made of."""

    notification_id: NotificationId
    step: int
    number: int


def new_notification_id(now: datetime) -> NotificationId:
    """A fresh id that sorts by `now` (aware)."""
    return _notification_id(now, secrets.randbits(RANDOM_BITS))


def derived_notification_id(at: datetime, cause: UUID) -> NotificationId:
    """The id of the notification that follows from `cause`, a uuid5, at the stored instant `at`: the same each time."""
    return _notification_id(at, cause.int & ((1 << RANDOM_BITS) - 1))


def _notification_id(at: datetime, random: int) -> NotificationId:
    milliseconds = int(at.timestamp() * 1000) & ((1 << 48) - 1)
    value = milliseconds << 80 | 0x7 << 76 | (random >> 30) << 64 | 0b10 << 62 | (random & ((1 << 30) - 1)) << 32
    return NotificationId(UUID(int=value))


def is_notification_id(value: UUID) -> bool:
    """Whether `value` has the shape `new_notification_id` gives."""
    return value.version == 7 and not value.int & _LOW_MASK


def created_at(value: UUID) -> datetime:
    """The instant in a UUIDv7, to the millisecond."""
    return datetime.fromtimestamp((value.int >> 80) / 1000, UTC)


def delivery_id(notification_id: NotificationId, number: int, *, step: int = 0) -> DeliveryId:
    """The id of the delivery to recipient `number` (0..2^28-1) at fallback `step` (0..15).

    Raises ValueError when a part does not fit its bits.
    """
    if not 0 <= number <= MAX_NUMBER or not 0 <= step <= MAX_STEP:
        raise ValueError(f"step {step} or number {number} does not fit a delivery id")
    return DeliveryId(UUID(int=notification_id.int | step << NUMBER_BITS | number))


def split_delivery_id(value: UUID) -> DeliveryParts:
    """The parts of a delivery's id; the inverse of `delivery_id`."""
    low = value.int & _LOW_MASK
    return DeliveryParts(NotificationId(UUID(int=value.int ^ low)), low >> NUMBER_BITS, low & MAX_NUMBER)


def chunk_id(notification_id: NotificationId, first_number: int, *, step: int = 0, generation: int = 0) -> ChunkId:
    """The id of the chunk that begins with recipient `first_number`."""
    return ChunkId(uuid5(notification_id, f"chunk:{step}:{generation}:{first_number}"))


def provider_key(delivery: DeliveryId, generation: int) -> ProviderKey:
    """The idempotency key a carrier is given: the same for every attempt of one generation."""
    return ProviderKey(uuid5(delivery, str(generation)))


def event_id(cause: UUID, name: str, ordinal: int | str) -> UUID:
    """The id of the event that `cause` leads to: the same again when `cause` is processed again."""
    return uuid5(cause, f"{name}:{ordinal}")
