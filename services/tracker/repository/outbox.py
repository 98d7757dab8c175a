"""Messages that are written before they are published."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from libs.bus import Outgoing
from libs.contracts.topics import TOPICS
from libs.storage import Connection

_TOPICS = {topic.name: topic for topic in TOPICS}

_ADD = """
    INSERT INTO tracker.outbox (event_id, topic, body, traceparent)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
"""
_TAKE = """
    UPDATE tracker.outbox SET leased_until = now() + $2::interval
    WHERE outbox_id IN (
        SELECT outbox_id FROM tracker.outbox WHERE leased_until <= now() ORDER BY outbox_id LIMIT $1
        FOR UPDATE SKIP LOCKED
    )
    RETURNING outbox_id, topic, body, traceparent
"""
_REMOVE = "DELETE FROM tracker.outbox WHERE outbox_id = ANY ($1::bigint[])"


class Letter(NamedTuple):
    """A message that waits for its acknowledgement."""

    outbox_id: int
    outgoing: Outgoing


class OutboxRepository:
    """The outbox. A letter is one's own until its lease ends; published twice it has the same event id."""

    async def add(self, connection: Connection, outgoing: Sequence[Outgoing]) -> None:
        """Write messages, in the transaction of what they follow from."""
        if outgoing:
            rows = [
                (one.message.event_id, one.topic.name, one.message.model_dump_json(), one.traceparent)
                for one in outgoing
            ]
            await connection.execute(_ADD, *zip(*rows, strict=True))

    async def take(self, connection: Connection, *, limit: int, lease: timedelta) -> Sequence[Letter]:
        """The oldest letters nobody is publishing, in the order they were written."""
        rows = sorted(await connection.fetch(_TAKE, limit, lease), key=lambda row: row["outbox_id"])
        return [Letter(outbox_id, _outgoing(topic, body, trace)) for outbox_id, topic, body, trace in rows]

    async def remove(self, connection: Connection, letters: Sequence[Letter]) -> None:
        """They are published."""
        await connection.execute(_REMOVE, [letter.outbox_id for letter in letters])


def _outgoing(name: str, body: str, traceparent: str | None) -> Outgoing:
    topic = _TOPICS[name]
    return Outgoing(topic, topic.message.model_validate_json(body), traceparent=traceparent)
