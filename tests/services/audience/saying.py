"""What audience said, as tests look at it."""

from libs.bus import Outgoing


def of_type(published: list[Outgoing], kind: type) -> list:
    return [outgoing.message for outgoing in published if isinstance(outgoing.message, kind)]


def wire_bytes(published: list[Outgoing]) -> list[tuple[str, int | None, str]]:
    return [(outgoing.topic.name, outgoing.partition, outgoing.message.model_dump_json()) for outgoing in published]
