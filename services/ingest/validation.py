"""Whether a notification makes sense, whoever asked for it. Shapes are the contracts'; here stand the rules between
fields; what a phone number is libs.phones knows, and what URL may be called libs.outbound_urls."""

from collections.abc import Mapping
from datetime import datetime

from libs.contracts.audience import Addresses, ClientIds
from libs.contracts.commands import MAX_CHUNK
from libs.contracts.content import Content, SmsContent, ViberContent, WebhookContent
from libs.contracts.notification import Callback, Notification
from libs.contracts.routing import Channel, Lane, MessageClass
from libs.outbound_urls import RefusedUrl, outbound_url
from libs.phones import MAX_FORMATTED, e164, is_plain
from libs.wall_clock import resolve

CONTENT_OF: Mapping[Channel, type] = {
    Channel.SMS: SmsContent,
    Channel.VIBER: ViberContent,
    Channel.WEBHOOK: WebhookContent,
}
# They reach the same recipients, so each can follow the other.
PHONE_CHANNELS = frozenset({Channel.SMS, Channel.VIBER})
MAX_URGENT = MAX_CHUNK
MAX_URLS = 1_000
# Nearer to the ends of the calendar a time with an offset has no UTC form.
FIRST_YEAR, LAST_YEAR = 1971, 9998


class Invalid(Exception):  # noqa: N818 - a property of the notification
    """The notification cannot be accepted. The text names places, never values."""


def validated(notification: Notification) -> Notification:
    """The notification with its phone numbers in E.164 and its URLs in one form, each once. Raises Invalid for the
    first rule it breaks."""
    _check_content("content", notification.channel, notification.content)
    _check_times(notification.at, notification.expires_at)
    _check_wall_clock(notification)
    _check_fallback(notification)
    if notification.message_class is MessageClass.WEBHOOK and notification.channel is not Channel.WEBHOOK:
        raise Invalid("message_class: webhook is for the channel webhook alone")
    if notification.lane is Lane.URGENT and _listed(notification) > MAX_URGENT:
        raise Invalid(f"lane: more than {MAX_URGENT} recipients are not urgent")
    notification = _with_callback(notification, notification.callback)
    if notification.channel is Channel.WEBHOOK and _listed(notification) > MAX_URLS:
        raise Invalid(f"to: a webhook goes to at most {MAX_URLS} URLs")
    match notification.channel, notification.to:
        case Channel.WEBHOOK, Addresses() as to:
            return _with_addresses(notification, to, _urls(to))
        case Channel.WEBHOOK, ClientIds():
            raise Invalid("to.client_ids: a webhook goes to URLs, given as addresses")
        case _, Addresses() as to:
            return _with_addresses(notification, to, _phones(to))
    return notification


def _check_content(place: str, channel: Channel, content: Content) -> None:
    if not isinstance(content, CONTENT_OF[channel]):
        raise Invalid(f"{place}: does not fit the channel {channel}")


def _check_times(at: datetime | None, expires_at: datetime | None) -> None:
    for name, instant in (("at", at), ("expires_at", expires_at)):
        if instant is not None and not FIRST_YEAR <= instant.year <= LAST_YEAR:
            raise Invalid(f"{name}: outside the years {FIRST_YEAR} to {LAST_YEAR}")
    if at is not None and expires_at is not None and expires_at <= at:
        raise Invalid("expires_at: not after at")


def _check_wall_clock(notification: Notification) -> None:
    """A wall-clock time comes with its zone and the instant it means; which instant, whoever took it in has decided."""
    if notification.wall is None:
        return
    if notification.zone is None or notification.at is None:
        raise Invalid("wall: comes with zone and at")
    try:
        resolve(datetime.fromisoformat(notification.wall), notification.zone)
    except ValueError:
        raise Invalid("wall: is no time of this zone") from None


def _check_fallback(notification: Notification) -> None:
    if notification.fallback and notification.channel not in PHONE_CHANNELS:
        raise Invalid(f"fallback: nothing can follow on the channel {notification.channel}")
    for index, step in enumerate(notification.fallback):
        if step.channel not in PHONE_CHANNELS:
            raise Invalid(f"fallback.{index}.channel: {step.channel} can follow nothing")
        _check_content(f"fallback.{index}.content", step.channel, step.content)


def _listed(notification: Notification) -> int:
    match notification.to:
        case ClientIds(client_ids=listed):
            return len(listed)
        case Addresses(addresses=texts):
            return len(texts)
        case stored:
            return stored.count


def _with_callback(notification: Notification, callback: Callback | None) -> Notification:
    if callback is None:
        return notification
    url = _url("callback.url", callback.url)
    if url == callback.url:
        return notification
    return notification.model_copy(update={"callback": callback.model_copy(update={"url": url})})


def _urls(to: Addresses) -> tuple[str, ...]:
    urls = (_url(f"to.addresses.{index}", address) for index, address in enumerate(to.addresses))
    return tuple(dict.fromkeys(urls))


def _url(place: str, text: str) -> str:
    """In its one form. Whether it may lead to this machine is for the gateway to say, which knows the tenant, and for
    the dispatcher, which makes the call."""
    try:
        return outbound_url(text, allow_loopback=True).url
    except RefusedUrl as error:
        raise Invalid(f"{place}: cannot be called, {error}") from None


def _phones(to: Addresses) -> tuple[str, ...]:
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
    return tuple(phones)


def _with_addresses(notification: Notification, to: Addresses, addresses: tuple[str, ...]) -> Notification:
    if addresses == to.addresses:
        return notification
    return notification.model_copy(update={"to": Addresses(addresses=addresses)})
