"""From Kafka's bytes to a typed message, or to what is wrong with them; never to a loss."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from libs.bus.failures import Undecodable
from libs.bus.records import Decode, M, RawRecord
from libs.contracts.envelope import Message
from libs.contracts.topics import Topic

# A breaking change is a new type on a new topic; this is the version every type of today has.
SUPPORTED_VERSION = 1
UNSUPPORTED = "unsupported"
UNDECODABLE = "undecodable"
MAX_ERRORS_NAMED = 5
PROBE_HEADER = "carillon-probe"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TRACEPARENT = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def decoder_of(topic: Topic[M]) -> Decode[M]:
    """How a topic's records are read unless a service has its own way. Raises Undecodable."""
    validate = topic.message.model_validate_json

    def decode(record: RawRecord) -> M:
        if not record.value:
            raise Undecodable(UNDECODABLE, "the record is empty")
        try:
            message = validate(record.value)
        except ValidationError as error:
            raise _explained(record.value, topic.message, error) from None
        if message.version > SUPPORTED_VERSION:
            raise Undecodable(UNSUPPORTED, f"version {message.version} is newer than {SUPPORTED_VERSION}")
        return message

    return decode


def explained(error: Exception, kind: type[Message]) -> Undecodable:
    """What a decode raised, in words that hold nothing of the record's content."""
    if isinstance(error, Undecodable):
        return error
    if isinstance(error, ValidationError):
        return Undecodable(UNDECODABLE, describe(error, kind))
    return Undecodable(UNDECODABLE, f"decoding raised {type(error).__name__}")


def describe(error: ValidationError, kind: type[Message]) -> str:
    """The places and kinds of a validation error, without its messages: they may quote the input."""
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    named = [f"{_place(problem['loc'], kind)}: {problem['type']}" for problem in problems[:MAX_ERRORS_NAMED]]
    if len(problems) > MAX_ERRORS_NAMED:
        named.append(f"and {len(problems) - MAX_ERRORS_NAMED} more")
    return "; ".join(named)


def timestamp_of(milliseconds: int) -> datetime:
    """A record's timestamp. Kafka keeps what the producer wrote, so it may be nonsense: then 1970."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return _EPOCH


def traceparent_of(headers: Iterable[tuple[str, bytes | None]]) -> str | None:
    """The W3C trace context of a record, or none where it is absent or malformed."""
    for name, value in headers:
        if name == "traceparent" and value is not None and _TRACEPARENT.fullmatch(value):
            return value.decode("ascii")
    return None


def _explained(value: bytes, kind: type[Message], error: ValidationError) -> Undecodable:
    """Whether the record is broken, or whole and of a type or version that is not ours."""
    try:
        parsed = from_json(value)
    except ValueError:
        return Undecodable(UNDECODABLE, "the record is not JSON")
    if not isinstance(parsed, dict):
        return Undecodable(UNDECODABLE, "the record is not a JSON object")
    if parsed.get("type", kind.TYPE) != kind.TYPE:
        return Undecodable(UNSUPPORTED, f"the type is not {kind.TYPE}")
    version = parsed.get("version")
    if isinstance(version, int) and version > SUPPORTED_VERSION:
        return Undecodable(UNSUPPORTED, f"the version is newer than {SUPPORTED_VERSION}")
    return Undecodable(UNDECODABLE, describe(error, kind))


def _place(location: tuple[int | str, ...], kind: type[Message]) -> str:
    known = _names(kind)
    return ".".join(str(part) if isinstance(part, int) or part in known else "*" for part in location) or "the record"


@lru_cache
def _names(kind: type[Message]) -> frozenset[str]:
    """Every name that the contract itself gives: fields and the tags of unions. A key of a free dict is content."""
    names: set[str] = set()

    def collect(node: object) -> None:
        if isinstance(node, Mapping):
            names.update(_named_by(node))
            for child in node.values():
                collect(child)
        elif isinstance(node, list):
            for child in node:
                collect(child)

    collect(kind.model_json_schema())
    return frozenset(names)


def _named_by(node: Mapping[str, Any]) -> Iterable[str]:
    properties = node.get("properties")
    if isinstance(properties, Mapping):
        yield from properties
    discriminator = node.get("discriminator")
    if isinstance(discriminator, Mapping):
        yield from discriminator.get("mapping", ())


def is_probe(headers: Iterable[tuple[str, bytes | None]]) -> bool:
    """Whether a record is the gateway's question to Kafka whether it takes records again, and no message."""
    return any(name == PROBE_HEADER for name, _ in headers)
