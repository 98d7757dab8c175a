"""What arrived, newest first: a bounded table in memory. A million short messages take about 200 MB."""

import asyncio
import json
import sqlite3
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from libs.wire import JsonValue

# Dropping the oldest one by one would cost as much as storing: a per mille at a time.
_SHARE_DROPPED = 1000
# Text is looked through without an index: so many messages at a time (a few ms), then others have their turn.
_LOOKED_THROUGH_AT_ONCE = 5000

_SCHEMA = """
CREATE TABLE message (
    id INTEGER PRIMARY KEY, channel TEXT NOT NULL, recipient TEXT NOT NULL, sender TEXT NOT NULL, subject TEXT,
    text TEXT NOT NULL, html TEXT, headers TEXT, data TEXT, received_at REAL NOT NULL, attempt_key BLOB NOT NULL
);
CREATE INDEX message_recipient ON message (recipient, id);
CREATE INDEX message_channel ON message (channel, id);
CREATE TABLE taken (id INTEGER PRIMARY KEY, attempt_key BLOB NOT NULL UNIQUE);
"""


class Arrival(NamedTuple):
    """A message as it came over a wire. `recipient` is digits only for a phone; `attempt_key` is the sender's
    idempotency key."""

    channel: str
    recipient: str
    sender: str
    text: str
    attempt_key: bytes
    headers: dict[str, JsonValue] | None = None
    data: JsonValue = None


@dataclass(frozen=True, slots=True)
class Query:
    """What to show. `before` is a message's id; `since` is inclusive."""

    channel: str | None = None
    to: str | None = None
    contains: str | None = None
    since: datetime | None = None
    before: int | None = None
    limit: int = 100


class Inbox:
    """Messages and the keys seen. `boot` makes the ids of one life differ from those of another.

    Everything is found by an index but what is looked for by `contains`, which is why `show` waits.
    """

    def __init__(self, *, capacity: int, honour_keys: bool, boot: str) -> None:
        self._capacity = capacity
        self._honour_keys = honour_keys
        self._boot = boot
        self._next = 1
        self._oldest_key = 1
        self._channels: set[str] = set()
        self.total = 0
        self.dropped = 0
        self._base = sqlite3.connect(":memory:", isolation_level=None)
        self._base.row_factory = sqlite3.Row
        self._base.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _SCHEMA)

    @property
    def newest(self) -> int:
        """The id of the newest message, 0 before the first: what arrives with a larger one was not known before."""
        return self._next - 1

    def close(self) -> None:
        """Forget everything."""
        self._base.close()

    def arrive(self, arrivals: Sequence[Arrival], now: datetime) -> list[int]:
        """Store what arrived; the id of each. A key seen before has its first id and is not shown a second time."""
        if not self._honour_keys:
            ids = self._store(arrivals, now)
            keys = [arrival.attempt_key for arrival in arrivals]
            self._base.executemany("INSERT OR IGNORE INTO taken VALUES (?, ?)", zip(ids, keys, strict=True))
            return ids
        known = self.known([arrival.attempt_key for arrival in arrivals])
        fresh: dict[bytes, Arrival] = {}
        for arrival in arrivals:
            if arrival.attempt_key not in known:
                fresh.setdefault(arrival.attempt_key, arrival)
        ids = self._store(list(fresh.values()), now)
        self._base.executemany("INSERT INTO taken VALUES (?, ?)", zip(ids, fresh, strict=True))
        known.update(zip(fresh, ids, strict=True))
        return [known[arrival.attempt_key] for arrival in arrivals]

    def provider_message_id(self, number: int) -> str:
        """The carrier's own name for a message."""
        return f"{self._boot}-{number}"

    def catch(self, arrival: Arrival, now: datetime) -> int:
        """Store what arrived, whether or not it was seen before; its id."""
        (number,) = self._store([arrival], now)
        return number

    async def show(self, query: Query) -> dict[str, JsonValue]:
        """The document of GET /messages."""
        if query.contains is not None:
            total, rows = await self._look_through(query, query.contains)
        else:
            total, rows = self._find(query)
        messages: list[JsonValue] = [self._document(row) for row in rows]
        return {"total": total, "dropped": self.dropped, "messages": messages}

    def _find(self, query: Query) -> tuple[int, Sequence[sqlite3.Row]]:
        """How many there are, and a page of them."""
        where, values = self._conditions(query)
        total = self.total
        if where:
            total = self._base.execute(f"SELECT count(*) FROM message WHERE {where}", values).fetchone()[0]  # noqa: S608
        if query.before is not None:
            where, values = f"{where or 'true'} AND id < ?", (*values, query.before)
        rows = self._base.execute(
            f"SELECT * FROM message WHERE {where or 'true'} ORDER BY id DESC LIMIT ?",  # noqa: S608 - no value in it
            (*values, query.limit),
        )
        return total, rows.fetchall()

    async def _look_through(self, query: Query, text: str) -> tuple[int, Sequence[sqlite3.Row]]:
        """The same for what holds a text, from the newest to the oldest of those that are here now."""
        where, values = self._conditions(query)
        statement = (
            f"SELECT id FROM message WHERE {where or 'true'} AND id BETWEEN ? AND ?"  # noqa: S608 - no value in it
            " AND instr(text || coalesce(subject, '') || coalesce(html, ''), ?) > 0 ORDER BY id DESC"
        )
        total, shown = 0, list[int]()
        for last in range(self.newest, self.newest - self.total, -_LOOKED_THROUGH_AT_ONCE):
            first = last - _LOOKED_THROUGH_AT_ONCE + 1
            found = [row[0] for row in self._base.execute(statement, (*values, first, last, text))]
            total += len(found)
            if len(shown) < query.limit:
                shown += [number for number in found if query.before is None or number < query.before]
            await asyncio.sleep(0)
        numbers = shown[: query.limit]
        marks = ",".join("?" * len(numbers))
        rows = self._base.execute(f"SELECT * FROM message WHERE id IN ({marks}) ORDER BY id DESC", numbers)  # noqa: S608
        return total, rows.fetchall()

    def clear(self) -> None:
        """Empty the inbox. Keys stay: the carrier still knows what it took."""
        self._base.execute("DELETE FROM message")
        self.total = 0
        self.dropped = 0

    def known(self, keys: Sequence[bytes]) -> dict[bytes, int]:
        """The ids of those keys that were seen before."""
        marks = ",".join("?" * len(keys))
        return dict(self._base.execute(f"SELECT attempt_key, id FROM taken WHERE attempt_key IN ({marks})", keys))  # noqa: S608

    def _store(self, arrivals: Sequence[Arrival], now: datetime) -> list[int]:
        first, at = self._next, now.timestamp()
        self._base.execute("BEGIN")
        self._base.executemany(
            "INSERT INTO message (id, channel, recipient, sender, text, attempt_key, headers, data, received_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (number, *arrival[:5], _json(arrival.headers), _json(arrival.data), at)
                for number, arrival in enumerate(arrivals, first)
            ],
        )
        self._base.execute("COMMIT")
        self._channels.update(arrival.channel for arrival in arrivals)
        self._next += len(arrivals)
        self.total += len(arrivals)
        if self.total > self._capacity:
            self._drop_oldest(self.total - self._capacity + self._capacity // _SHARE_DROPPED)
        if self._next - self._oldest_key > self._capacity * 2:
            self._oldest_key = self._next - self._capacity
            self._base.execute("DELETE FROM taken WHERE id < ?", (self._oldest_key,))
        return list(range(first, self._next))

    def _drop_oldest(self, count: int) -> None:
        limit = self._base.execute("SELECT id FROM message ORDER BY id LIMIT 1 OFFSET ?", (count,)).fetchone()
        dropped = self._base.execute("DELETE FROM message WHERE id < ?", limit or (self._next,)).rowcount
        self.total -= dropped
        self.dropped += dropped

    def _document(self, row: sqlite3.Row) -> JsonValue:
        headers, data = row["headers"], row["data"]
        return {
            "id": str(row["id"]),
            "channel": row["channel"],
            "to": row["recipient"],
            "from": row["sender"],
            "subject": row["subject"],
            "text": row["text"],
            "html": row["html"],
            "headers": json.loads(headers) if headers else None,
            "data": json.loads(data) if data else None,
            "provider_message_id": self.provider_message_id(row["id"]),
            "received_at": datetime.fromtimestamp(row["received_at"], UTC).isoformat(timespec="microseconds"),
            "attempt_key": row["attempt_key"].hex(),
        }

    def _conditions(self, query: Query) -> tuple[str, tuple[str | float, ...]]:
        """What restricts the whole inbox; a channel does not while there is only one."""
        parts: list[tuple[str, str | float]] = []
        if query.channel is not None and self._channels != {query.channel}:
            parts.append(("channel = ?", query.channel))
        if query.to is not None:
            parts.append(("recipient = ?", query.to))
        if query.since is not None:
            parts.append(("id >= ?", self._first_since(query.since.timestamp())))
        return " AND ".join(part for part, _ in parts), tuple(value for _, value in parts)

    def _first_since(self, instant: float) -> int:
        """The first message that arrived at `instant` or later: numbers are dense and rise with time."""
        numbers = range(self._next - self.total, self._next)
        return numbers.start + bisect_left(numbers, instant, key=self._received_at)

    def _received_at(self, number: int) -> float:
        row = self._base.execute("SELECT received_at FROM message WHERE id = ?", (number,)).fetchone()
        return float(row[0])


def _json(value: JsonValue) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)
