"""Signatures of what we post to callers: Standard Webhooks 1.0.0, symmetric (v1).

Every tenant has a key of its own, made from the platform's: nothing is stored, and what one caller knows signs nothing
for another. https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, ClassVar

from pydantic import Field, SecretStr

from libs.settings import Settings

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"

# How far the clocks of two sides may be apart, and how old a call may be that is still believed.
TOLERANCE = timedelta(minutes=5)

_PREFIX = "whsec_"
_VERSION = "v1"
# Keeps these keys apart from any others that may ever be made from the same master key.
_PURPOSE = b"carillon webhook signature v1\0"


class SigningSettings(Settings):
    """`key` is the platform's master key. For a rotation the old one becomes `previous_key`: while it stands, every
    call carries both signatures and callers may change their secret when they like."""

    PREFIX: ClassVar[str] = "SIGNING_"

    key: Annotated[SecretStr, Field(min_length=32)]
    previous_key: Annotated[SecretStr, Field(min_length=32)] | None = None

    def master_keys(self) -> tuple[bytes, ...]:
        """The newest first."""
        given = [self.key, *([self.previous_key] if self.previous_key else [])]
        return tuple(secret.get_secret_value().encode() for secret in given)


def tenant_key(master: bytes, tenant: str) -> bytes:
    """The 32 bytes that sign for one tenant."""
    return hmac.digest(master, _PURPOSE + tenant.encode(), hashlib.sha256)


def tenant_keys(masters: Sequence[bytes], tenant: str) -> tuple[bytes, ...]:
    """A tenant's keys in the order of the master keys."""
    return tuple(tenant_key(master, tenant) for master in masters)


def secret_text(key: bytes) -> str:
    """A key as callers get it and as their libraries take it."""
    return _PREFIX + base64.b64encode(key).decode()


def sign(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """The value of the signature's header: one signature a key, apart by spaces.

    `timestamp` is of the attempt, in whole seconds since 1970; `message_id` is the same for every attempt and has no
    full stop, which separates the parts of what is signed.
    """
    if "." in message_id:
        raise ValueError("a message id has no full stop")
    signed = _signed(message_id, str(timestamp), body)
    return " ".join(f"{_VERSION},{base64.b64encode(_mac(key, signed)).decode()}" for key in keys)


def verifies(
    secrets: Sequence[str], message_id: str, timestamp: str, body: bytes, signature: str, *, now: datetime | None = None
) -> bool:
    """Whether a call was signed with one of these secrets: what a caller does with our headers.

    With `now` (aware) a call that is older or newer than the tolerance is refused too. Raises ValueError for a secret
    that is none: an empty key would let anybody sign.
    """
    if now is not None and not _is_fresh(timestamp, now):
        return False
    signed = _signed(message_id, timestamp, body)
    right = [_mac(_key(secret), signed) for secret in secrets]
    given = [_decoded(part.removeprefix(f"{_VERSION},")) for part in signature.split(" ") if part.startswith("v1,")]
    return any(hmac.compare_digest(mine, theirs) for mine in right for theirs in given)


def _signed(message_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{message_id}.{timestamp}.".encode() + body


def _mac(key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, hashlib.sha256)


def _key(secret: str) -> bytes:
    key = _decoded(secret.removeprefix(_PREFIX))
    if not key:
        raise ValueError("not a signing secret")
    return key


def _decoded(text: str) -> bytes:
    """Empty for what is no base64, which equals no signature."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _is_fresh(timestamp: str, now: datetime) -> bool:
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        return False
    return abs(now.timestamp() - int(timestamp)) <= TOLERANCE.total_seconds()
