"""Whether a notification makes sense, whoever asked for it. Shapes are the contracts'; here stand the rules between
fields; what a phone number is libs.phones knows."""

from datetime import datetime

from libs.contracts.audience import Addresses, ClientIds
from libs.contracts.commands import MAX_CHUNK
from libs.contracts.content import SmsContent
from libs.contracts.notification import Notification
from libs.contracts.routing import Channel, Lane
from libs.phones import MAX_FORMATTED, e164, is_plain

CONTENT_OF: dict[Channel, tuple[type, ...]] = {Channel.SMS: (SmsContent,)}
MAX_URGENT = MAX_CHUNK
# Nearer to the ends of the calendar a time with an offset has no UTC form.
FIRST_YEAR, LAST_YEAR = 1971, 9998


class Invalid(Exception):  # noqa: N818 - a property of the notification
    """The notification cannot be accepted. The text names places, never values."""


def validated(notification: Notification) -> Notification:
    """The notification with its phone numbers in E.164, each once. Raises Invalid for the first rule it breaks."""
    if not isinstance(notification.content, CONTENT_OF[notification.channel]):
        raise Invalid(f"content: does not fit the channel {notification.channel}")
    _check_times(notification.at, notification.expires_at)
    if notification.lane is Lane.URGENT and _listed(notification) > MAX_URGENT:
        raise Invalid(f"lane: more than {MAX_URGENT} recipients are not urgent")
    if notification.channel is Channel.SMS and isinstance(notification.to, Addresses):
        return _with_phones(notification, notification.to)
    return notification


def _check_times(at: datetime | None, expires_at: datetime | None) -> None:
    for name, instant in (("at", at), ("expires_at", expires_at)):
        if instant is not None and not FIRST_YEAR <= instant.year <= LAST_YEAR:
            raise Invalid(f"{name}: outside the years {FIRST_YEAR} to {LAST_YEAR}")
    if at is not None and expires_at is not None and expires_at <= at:
        raise Invalid("expires_at: not after at")


def _listed(notification: Notification) -> int:
    match notification.to:
        case ClientIds(client_ids=listed):
            return len(listed)
        case Addresses(addresses=texts):
            return len(texts)
        case stored:
            return stored.count


def _with_phones(notification: Notification, to: Addresses) -> Notification:
    formatted = 0
    phones: dict[str, None] = {}
    for index, address in enumerate(to.addresses):
        if is_plain(address):
            phones[address] = None
            continue
        formatted += 1
        if formatted > MAX_FORMATTED:
            raise Invalid(f"to.addresses: more than {MAX_FORMATTED} numbers that are not written as +48501234567")
        number = e164(address)
        if number is None:
            raise Invalid(f"to.addresses.{index}: not a possible international phone number")
        phones[number] = None
    if len(phones) == len(to.addresses) and all(map(phones.__contains__, to.addresses)):
        return notification
    return notification.model_copy(update={"to": Addresses(addresses=tuple(phones))})
