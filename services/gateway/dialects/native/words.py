"""What this API says on each channel: content, and what is tried after it."""

from datetime import timedelta
from functools import partial

from libs.contracts.content import INLINE_LIMIT_BYTES, InlineContent, SmsContent, ViberContent, WebhookContent
from libs.contracts.ids import MAX_STEP
from libs.contracts.notification import Fallback
from libs.contracts.routing import Channel
from libs.wire import JsonValue, json_bytes
from services.gateway.dialects.native.fields import one_of, optional
from services.gateway.faults import Fault, Faults
from services.gateway.words import (
    button,
    link,
    media_type,
    posted_body,
    sender,
    sms_text,
    viber_sender,
    viber_text,
)

# Both go to the number of a phone, so whoever misses a message on one can be reached on the other.
PHONE_CHANNELS = frozenset({Channel.SMS, Channel.VIBER})
SHORTEST_WAIT, LONGEST_WAIT = timedelta(seconds=1), timedelta(days=7)

_SMS = frozenset({"text", "sender"})
_VIBER = frozenset({"text", "sender", "image_url", "button_text", "button_url"})
_WEBHOOK = frozenset({"data", "body", "content_type"})
_FALLBACK = frozenset({"channel", "after", "content"})


def content(channel: Channel | None, value: JsonValue, faults: Faults, *, within: str = "") -> InlineContent | None:
    """What is said on `channel`; none, and faults remembered, where it cannot be, and where the channel is not known.
    `within` is the place of `value`."""
    place = f"{within}content"
    if not isinstance(value, dict):
        example = '{"data": {"order": 81}}' if channel is Channel.WEBHOOK else '{"text": "..."}'
        faults.add(place, f"must be an object: {example}.")
        return None
    match channel:
        case None:
            return None
        case Channel.SMS:
            return _sms(value, faults, place)
        case Channel.VIBER:
            return _viber(value, faults, place)
        case Channel.WEBHOOK:
            return _webhook(value, faults, place)


def fallback(channel: Channel | None, value: JsonValue, faults: Faults) -> tuple[Fallback, ...]:
    """What is tried for whoever has not got the message; faults are remembered."""
    if value is None:
        return ()
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_STEP:
        faults.add("fallback", f"must be an array of 1 to {MAX_STEP} steps.")
        return ()
    if channel is not None and channel not in PHONE_CHANNELS:
        faults.add("fallback", f"follows a message to a phone. {channel} has none: leave it out.")
        return ()
    steps = [_step(item, faults, f"fallback.{position}") for position, item in enumerate(value)]
    return tuple(step for step in steps if step is not None)


def _step(value: JsonValue, faults: Faults, place: str) -> Fallback | None:
    if not isinstance(value, dict):
        faults.add(place, 'must be an object: {"channel": "viber", "after": 300, "content": {"text": "..."}}.')
        return None
    faults.unknown(place, value, _FALLBACK)
    channel = faults.read(f"{place}.channel", _phone_channel, value.get("channel"))
    after = faults.read(f"{place}.after", _wait, value.get("after"))
    said = content(channel, value.get("content"), faults, within=f"{place}.")
    if channel is None or after is None or said is None:
        return None
    return Fallback(channel=channel, after=after, content=said)


def _phone_channel(value: JsonValue) -> Channel:
    channel = one_of(Channel, value)
    if channel not in PHONE_CHANNELS:
        raise Fault(f"must be one of: {', '.join(sorted(PHONE_CHANNELS))}.")
    return channel


def _wait(value: JsonValue) -> timedelta:
    least, most = int(SHORTEST_WAIT.total_seconds()), int(LONGEST_WAIT.total_seconds())
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise Fault(f"must be a number of seconds from {least} to {most}.")
    return timedelta(seconds=value)


def _sms(value: dict[str, JsonValue], faults: Faults, place: str) -> SmsContent | None:
    faults.unknown(place, value, _SMS)
    text = faults.read(f"{place}.text", sms_text, value.get("text"))
    name = optional("sender", sender, value, faults, within=f"{place}.")
    return None if text is None else SmsContent(text=text, sender=name)


def _viber(value: dict[str, JsonValue], faults: Faults, place: str) -> ViberContent | None:
    faults.unknown(place, value, _VIBER)
    read = partial(optional, body=value, faults=faults, within=f"{place}.")
    text = faults.read(f"{place}.text", viber_text, value.get("text"))
    name, image = read("sender", viber_sender), read("image_url", link)
    caption, target = read("button_text", button), read("button_url", link)
    if (value.get("button_text") is None) != (value.get("button_url") is None):
        faults.add(place, "has half a button. Send both button_text and button_url, or neither.")
    if text is None:
        return None
    return ViberContent(text=text, sender=name, image_url=image, button_text=caption, button_url=target)


def _webhook(value: dict[str, JsonValue], faults: Faults, place: str) -> WebhookContent | None:
    faults.unknown(place, value, _WEBHOOK)
    if ("data" in value) == ("body" in value):
        faults.add(place, "must hold either data (any JSON) or body (a text, with its content_type).")
        return None
    if "data" in value:
        if "content_type" in value:
            faults.add(f"{place}.content_type", "belongs to a body. data is sent as JSON.")
        body = faults.read(f"{place}.data", _json_body, value["data"])
        return None if body is None else WebhookContent(body=body)
    posted = faults.read(f"{place}.body", posted_body, value["body"])
    kind = faults.read(f"{place}.content_type", media_type, value.get("content_type"))
    return None if posted is None or kind is None else WebhookContent(body=posted, content_type=kind)


def _json_body(value: JsonValue) -> str:
    written = json_bytes(value)
    if len(written) > INLINE_LIMIT_BYTES:
        raise Fault(f"is larger than {INLINE_LIMIT_BYTES} bytes when written down.")
    return written.decode()
