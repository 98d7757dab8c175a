"""Whether a call can be paid for, as far as can be told before it is accepted."""

from collections.abc import Sequence
from dataclasses import dataclass

from libs.contracts.audience import ClientIds
from libs.contracts.content import SmsContent
from libs.contracts.routing import Channel
from libs.segments import segments
from libs.wire import JsonValue, Problem
from services.gateway.translation import Draft


@dataclass(frozen=True, slots=True)
class Account:
    """A prepaid tenant's: what is left, and the price of a segment of SMS, both in millionths of its currency."""

    balance: int
    price: int


def account_in(found: JsonValue) -> Account | None:
    """The account a dispatcher describes; none for a tenant that is not metered."""
    if not isinstance(found, dict) or found.get("metered") is not True:
        return None
    balance, price = found.get("balance"), found.get("price_per_segment")
    return Account(balance, price if isinstance(price, int) else 0) if isinstance(balance, int) else None


def is_charged(drafts: Sequence[Draft]) -> bool:
    """Whether any of it goes to a phone: what is posted to the caller's own URL is free."""
    return any(draft.channel is not Channel.WEBHOOK for draft in drafts)


def require_funds(drafts: Sequence[Draft], account: Account | None) -> None:
    """Raises Problem 402 where nothing is left, or less than the SMS to the listed recipients cost at the least. What
    others cost, and what follows as a fallback, is known when it is about to be sent: then there is a status for it."""
    if account is None:
        return
    if account.balance <= 0 or sum(map(_segments, drafts)) * account.price > account.balance:
        raise Problem(402, "not_enough_funds", "There is not enough money on the account for this.")


def _segments(draft: Draft) -> int:
    if not isinstance(draft.content, SmsContent):
        return 0
    listed = len(draft.to.client_ids) if isinstance(draft.to, ClientIds) else len(draft.to.addresses)
    return segments(draft.content.text) * listed
