"""What a message costs.

A tenant with an account is metered: a claim reserves the price of its deliveries straight from the account, in the
statement that claims them. That is one update for up to a thousand messages, so processes lease no blocks of it. What
certainly did not leave is given back when the claim is recorded; what left, or may have left, is spent. A delivery is
paid at most once: an attempt of unknown outcome is not paid again when it is repeated.
"""

from collections.abc import Callable

from libs.contracts.commands import SendDeliveries
from libs.contracts.content import SmsContent
from libs.segments import segments

MICRO = 1_000_000  # micro-units in a unit of a currency


def segments_of(chunk: SendDeliveries) -> int:
    """What each message of a chunk counts: an SMS by its parts, anything else once."""
    return segments(chunk.content.text) if isinstance(chunk.content, SmsContent) else 1


def segments_if_charged(price: int) -> Callable[[SendDeliveries], int]:
    """`segments_of`, where it matters."""
    return segments_of if price else lambda chunk: 1
