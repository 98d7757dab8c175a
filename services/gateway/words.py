"""What a message may say and who it may say it is from."""

import re
from urllib.parse import urlsplit

from libs.contracts.content import INLINE_LIMIT_BYTES, MAX_SMS_CHARACTERS, MAX_VIBER_CHARACTERS
from libs.wire import JsonValue
from services.gateway.faults import Fault

MAX_LINK = 2048
MAX_BUTTON = 30
# What phones show as a sender: a short name with a letter in it, or a number.
_SENDER = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 .&_'\-]{1,11}|\+?[0-9]{3,15}")
_MAX_VIBER_SENDER = 28
_SURROGATE = re.compile("[\ud800-\udfff]")
_LINK = re.compile(r"https?://[^\s\x00-\x20\x7f<>\"\\^`{|}]+", re.IGNORECASE)
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+(; ?charset=utf-8)?", re.IGNORECASE)


def sms_text(value: JsonValue) -> str:
    """The text of an SMS: 1 to 1,600 characters, not only white space, nothing that cannot be written as UTF-8 or
    kept in Postgres. Raises Fault."""
    return _text(value, "SMS", MAX_SMS_CHARACTERS)


def viber_text(value: JsonValue) -> str:
    """The text of a Viber message: 1 to 1,000 characters, otherwise as that of an SMS. Raises Fault."""
    return _text(value, "Viber message", MAX_VIBER_CHARACTERS)


def sender(value: JsonValue) -> str:
    """The sender that the phone shows. Raises Fault."""
    if not isinstance(value, str) or not _SENDER.fullmatch(value):
        raise Fault("must be a name of at most 11 Latin letters and digits, or a number of 3 to 15 digits.")
    return value


def viber_sender(value: JsonValue) -> str:
    """The name of the business account that a Viber message comes from. Raises Fault."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > _MAX_VIBER_SENDER:
        raise Fault(f"must be a name of at most {_MAX_VIBER_SENDER} printable characters.")
    return value


def button(value: JsonValue) -> str:
    """What stands on a button. Raises Fault."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > MAX_BUTTON:
        raise Fault(f"must be a text of at most {MAX_BUTTON} printable characters.")
    return value


def link(value: JsonValue) -> str:
    """An address that the recipient's phone opens or shows a picture from: http or https, so that no `javascript:`
    and no `data:` gets into a message. Raises Fault."""
    if not isinstance(value, str) or len(value) > MAX_LINK or not _LINK.fullmatch(value) or not _has_host(value):
        raise Fault(f"must be a http or https address of at most {MAX_LINK} characters, such as https://example.com/a.")
    return value


def posted_body(value: JsonValue) -> str:
    """A body that is posted as it is, at most 256 KiB of UTF-8. Raises Fault."""
    if not isinstance(value, str):
        raise Fault("must be a string. Send JSON as data.")
    if len(value) > INLINE_LIMIT_BYTES or len(_encoded(value)) > INLINE_LIMIT_BYTES:
        raise Fault(f"is larger than {INLINE_LIMIT_BYTES} bytes.")
    return value


def media_type(value: JsonValue) -> str:
    """The Content-Type of a posted body, which is UTF-8. Raises Fault."""
    if not isinstance(value, str) or len(value) > 100 or not _MEDIA_TYPE.fullmatch(value):
        raise Fault("must be a media type such as text/plain; charset=utf-8.")
    return value


def _text(value: JsonValue, what: str, most: int) -> str:
    if value is None:
        raise Fault(f"is missing. Send the text of the {what}.")
    if not isinstance(value, str):
        raise Fault("must be a string.")
    if not value.strip():
        raise Fault(f"is blank. Send the text of the {what}.")
    if len(value) > most:
        raise Fault(f"has {len(value)} characters. Send at most {most}.")
    _encoded(value)
    return value


def _encoded(value: str) -> bytes:
    if "\0" in value or _SURROGATE.search(value):
        raise Fault("holds a NUL or half of a surrogate pair. Remove it.")
    return value.encode()


def _has_host(text: str) -> bool:
    try:
        return bool(urlsplit(text).hostname)
    except ValueError:
        return False
