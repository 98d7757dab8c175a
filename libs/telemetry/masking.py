"""Takes personal data and secrets out of what is about to be logged."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

SECRET = "***"  # noqa: S105 - what stands in its place
EMAIL = "<email>"
PHONE = "<phone>"

_SENSITIVE_WORDS = ("authorization", "cookie", "password", "passwd", "secret", "token", "api-key", "api_key", "apikey")
_SENSITIVE_NAME = re.compile("|".join((*_SENSITIVE_WORDS, "dsn", "credential")), re.IGNORECASE)
_SENSITIVE_PAIR = re.compile(
    rf"""(?P<name>(?:{"|".join(_SENSITIVE_WORDS)})['"]?\s*[=:]\s*)"""
    r"""(?P<value>['"]?(?:(?:Bearer|Basic)\s+)?[^\s'"&;,}]+(?:,\s*User\s+[^\s'"&;,}]+)?)""",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"\b(Bearer|Basic)\s+[^\s,;'\"]+", re.IGNORECASE)
_USER_INFO = re.compile(r"(?<=://)[^/\s@:]+:[^/\s@]+(?=@)")
_RECEIPT_PATH = re.compile(r"(/receipts/[^/\s]+/)[^/\s?\"']+")
# What Postgres adds to a violated constraint repeats the row.
_DETAIL = re.compile(r"DETAIL:.*")
# Bounded as RFC 5321 bounds them, so that one long word cannot cost seconds.
_EMAIL = re.compile(r"[^\s@<>\"'(),;:=]{1,64}@[^\s@<>\"'(),;:=]{1,253}\.[^\W\d_]{2,}")
_PHONE = re.compile(r"\+\d(?:[ ().-]{0,2}\d){6,14}")
# Without a plus a phone is a run of 10 to 15 digits that is no part of a longer word or id.
_TEN_DIGITS = re.compile(r"\d{10}")
_DIGITS = re.compile(r"(?<![\w.+-])\d{10,15}(?![\w-]|\.\d)")


def mask_text(text: str) -> str:
    """`text` without phones, e-mail addresses, tokens, passwords in URLs and the rows Postgres quotes."""
    # Most lines hold none of this: a look for the tell-tale character costs a hundredth of the pattern.
    lowered = text.lower()
    if any(word in lowered for word in _SENSITIVE_WORDS):
        text = _SENSITIVE_PAIR.sub(lambda match: match["name"] + SECRET, text)
    if "bearer" in lowered or "basic" in lowered:
        text = _SCHEME.sub(rf"\1 {SECRET}", text)
    if "://" in text:
        text = _USER_INFO.sub(SECRET, text)
    if "/receipts/" in text:
        text = _RECEIPT_PATH.sub(rf"\1{SECRET}", text)
    if "DETAIL:" in text:
        text = _DETAIL.sub("DETAIL: <hidden>", text)
    if "@" in text:
        text = _EMAIL.sub(EMAIL, text)
    if "+" in text:
        text = _PHONE.sub(PHONE, text)
    if _TEN_DIGITS.search(text):
        text = _DIGITS.sub(PHONE, text)
    return text


def mask_field(name: str, value: object) -> object:
    """A log field as JSON takes it, masked: by its name wholly, else wherever it holds text."""
    if isinstance(value, str | bytes | Mapping | Sequence) and _is_sensitive(name):
        return SECRET
    return _mask_value(value)


@lru_cache(maxsize=1024)
def _is_sensitive(name: str) -> bool:
    return _SENSITIVE_NAME.search(name) is not None


def _mask_value(value: object) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return mask_text(value)
        case Mapping():
            return {mask_text(str(name)): mask_field(str(name), inner) for name, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_mask_value(inner) for inner in value]
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case _:
            return mask_text(str(value))
