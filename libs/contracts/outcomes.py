"""What a carrier's answer means: a closed union, so that mypy sees a forgotten case."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Accepted:
    """The carrier took the message and gave it this id (empty: it gives none)."""

    provider_message_id: str


@dataclass(frozen=True, slots=True)
class Permanent:
    """It will never work: bad number, blocked recipient."""

    reason: str


@dataclass(frozen=True, slots=True)
class Transient:
    """It was certainly not taken and may work later."""

    reason: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """The carrier asks us to slow down. Not an attempt."""

    reason: str
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Nobody knows whether the carrier took it: a time-out after the request was written."""

    reason: str


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """Our account with the carrier is wrong (401, 403): no message of this route can pass."""

    reason: str


@dataclass(frozen=True, slots=True)
class OutOfFunds:
    """The carrier did not take it because there is no money left for it."""

    reason: str


Outcome = Accepted | Permanent | Transient | Throttled | Ambiguous | Misconfigured | OutOfFunds
