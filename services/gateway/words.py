"""What a message may say and who it may say it is from."""

import re

from libs.contracts.content import MAX_SMS_CHARACTERS
from libs.wire import JsonValue
from services.gateway.faults import Fault

# What phones show as a sender: a short name with a letter in it, or a number.
_SENDER = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 .&_'\-]{1,11}|\+?[0-9]{3,15}")
_SURROGATE = re.compile("[\ud800-\udfff]")


def sms_text(value: JsonValue) -> str:
    """The text of an SMS: 1 to 1,600 characters, not only white space, nothing that cannot be written as UTF-8 or
    kept in Postgres. Raises Fault."""
    if value is None:
        raise Fault("is missing. Send the text of the SMS.")
    if not isinstance(value, str):
        raise Fault("must be a string.")
    if not value.strip():
        raise Fault("is blank. Send the text of the SMS.")
    if len(value) > MAX_SMS_CHARACTERS:
        raise Fault(f"has {len(value)} characters. Send at most {MAX_SMS_CHARACTERS}.")
    if "\0" in value or _SURROGATE.search(value):
        raise Fault("holds a NUL or half of a surrogate pair. Remove it.")
    return value


def sender(value: JsonValue) -> str:
    """The sender that the phone shows. Raises Fault."""
    if not isinstance(value, str) or not _SENDER.fullmatch(value):
        raise Fault("must be a name of at most 11 Latin letters and digits, or a number of 3 to 15 digits.")
    return value
