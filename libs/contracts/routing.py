"""Which way a message goes: channel, lane, partition."""

import zlib
from enum import StrEnum


class Channel(StrEnum):
    """What carries a message to its recipient."""

    SMS = "sms"
    VIBER = "viber"
    WEBHOOK = "webhook"


class Lane(StrEnum):
    """Every command topic exists once per lane, so that a campaign never delays a password."""

    URGENT = "urgent"
    BULK = "bulk"


class MessageClass(StrEnum):
    """What decides how long a message is worth sending and when it is tried again."""

    OTP = "otp"
    TRANSACTIONAL = "transactional"
    BULK = "bulk"
    WEBHOOK = "webhook"


def partition_of(tenant: str, key: str, partitions: int) -> int:
    """The partition of an ordering key. crc32 costs 0.05 us, aiokafka's murmur2 1.4 us; it is not Java's default."""
    return zlib.crc32(f"{tenant}\0{key}".encode()) % partitions
