"""All of ingest's SQL."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from libs.contracts.ids import NotificationId
from libs.contracts.notification import Notification
from libs.storage import Connection
from services.ingest.accepting import Blob, Entry, Stored

_STORE = """
INSERT INTO ingest.notification
       (notification_id, tenant, request_id, body_hash, body, dialect, command_id, traceparent, waits)
SELECT given.notification_id, given.tenant, given.request_id, given.body_hash, given.body, given.dialect,
       given.command_id, given.traceparent, coalesce(given.at > now(), false)
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::bytea[], $6::text[], $7::uuid[], $8::text[],
              $9::timestamptz[])
       AS given(notification_id, tenant, request_id, body_hash, body, dialect, command_id, traceparent, at)
    ON CONFLICT DO NOTHING
RETURNING notification_id, accepted_at, waits
"""

_COLUMNS = """
n.tenant, n.request_id, n.body_hash, n.body, n.dialect, n.command_id, n.traceparent, n.accepted_at, n.waits
"""

_BY_ID = f"""
SELECT {_COLUMNS}
  FROM unnest($1::text[], $2::uuid[]) AS given(tenant, notification_id)
  JOIN ingest.notification n ON n.notification_id = given.notification_id AND n.tenant = given.tenant
"""  # noqa: S608 - constant text

_BY_REQUEST = f"""
SELECT {_COLUMNS}
  FROM unnest($1::text[], $2::text[]) AS given(tenant, request_id)
  JOIN ingest.notification n ON n.tenant = given.tenant AND n.request_id = given.request_id
"""  # noqa: S608 - constant text

_WITHDRAW = "DELETE FROM ingest.notification WHERE notification_id = ANY($1::uuid[])"

_PUT_CONTENT = """
INSERT INTO ingest.content (tenant, sha256, body, size)
SELECT given.tenant, given.sha256, given.body, length(given.body)
  FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS given(tenant, sha256, body)
    ON CONFLICT DO NOTHING
RETURNING sha256
"""

_NAME_CONTENT = """
UPDATE ingest.content c
   SET named_at = coalesce(c.named_at, now())
  FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::bytea[])) AS given(tenant, sha256)
 WHERE c.tenant = given.tenant AND c.sha256 = given.sha256
RETURNING c.tenant, c.sha256
"""

_GET_CONTENT = "SELECT body FROM ingest.content WHERE tenant = $1 AND sha256 = $2"


@dataclass(slots=True)
class Standing:
    """How the entries of a batch stand in the table. Keys begin with the tenant; `fresh` came in by this run."""

    by_id: dict[tuple[str, UUID], Stored] = field(default_factory=dict)
    by_request: dict[tuple[str, str], Stored] = field(default_factory=dict)
    fresh: set[NotificationId] = field(default_factory=set)

    def add(self, stored: Stored, request_id: str | None) -> None:
        """Make a row findable by what names it."""
        self.by_id[stored.tenant, stored.notification_id] = stored
        if request_id is not None:
            self.by_request[stored.tenant, request_id] = stored


class NotificationRepository:
    """Notifications as validated, each once."""

    async def store(self, connection: Connection, entries: Sequence[Entry]) -> Standing:
        """Store what is new and read back what was there: one statement when all is new, up to three otherwise."""
        standing = Standing()
        if not entries:
            return standing
        rows = await connection.fetch(_STORE, *_columns(entries))
        new = {row["notification_id"]: (row["accepted_at"], row["waits"]) for row in rows}
        known: list[Entry] = []
        for entry in entries:
            if entry.notification_id in new and entry.notification_id not in standing.fresh:
                standing.add(_stored(entry, *new[entry.notification_id]), entry.request_id)
                standing.fresh.add(entry.notification_id)
            else:
                known.append(entry)
        await self._read_back(connection, known, standing)
        return standing

    async def _read_back(self, connection: Connection, entries: Sequence[Entry], standing: Standing) -> None:
        ids = [
            (entry.tenant, entry.notification_id)
            for entry in entries
            if entry.request_id is None and (entry.tenant, entry.notification_id) not in standing.by_id
        ]
        requests = [
            (entry.tenant, entry.request_id)
            for entry in entries
            if entry.request_id is not None and (entry.tenant, entry.request_id) not in standing.by_request
        ]
        for statement, keys in ((_BY_ID, ids), (_BY_REQUEST, requests)):
            if not keys:
                continue
            tenants, values = zip(*keys, strict=True)
            for row in await connection.fetch(statement, tenants, values):
                tenant, request_id, body_hash, body, dialect, command_id, traceparent, accepted_at, waits = row
                notification = Notification.model_validate_json(body)
                standing.add(
                    Stored(notification, tenant, body_hash, dialect, command_id, traceparent, accepted_at, waits),
                    request_id,
                )

    async def withdraw(self, connection: Connection, ids: Collection[NotificationId]) -> None:
        """Take back rows of this very transaction: their call is refused. Nobody has seen them."""
        if ids:
            await connection.execute(_WITHDRAW, list(ids))


class ContentRepository:
    """Bodies under their hash."""

    async def put(self, connection: Connection, blobs: Sequence[Blob]) -> int:
        """Keep bodies; how many were new."""
        if not blobs:
            return 0
        rows = await connection.fetch(
            _PUT_CONTENT,
            [blob.tenant for blob in blobs],
            [bytes.fromhex(blob.sha256) for blob in blobs],
            [blob.body for blob in blobs],
        )
        return len(rows)

    async def name(self, connection: Connection, references: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        """Note that notifications name these (tenant, sha256); gives those that are kept here."""
        if not references:
            return set()
        tenants, hashes = zip(*sorted(references), strict=True)
        rows = await connection.fetch(_NAME_CONTENT, tenants, [bytes.fromhex(sha256) for sha256 in hashes])
        return {(row["tenant"], row["sha256"].hex()) for row in rows}

    async def get(self, connection: Connection, tenant: str, sha256: str) -> bytes | None:
        """A body of the tenant."""
        body: bytes | None = await connection.fetchval(_GET_CONTENT, tenant, bytes.fromhex(sha256))
        return body


def _columns(entries: Sequence[Entry]) -> tuple[Sequence[object], ...]:
    return (
        [entry.notification_id for entry in entries],
        [entry.tenant for entry in entries],
        [entry.request_id for entry in entries],
        [entry.body_hash for entry in entries],
        [entry.notification.model_dump_json().encode() for entry in entries],
        [entry.dialect for entry in entries],
        [entry.command_id for entry in entries],
        [entry.traceparent for entry in entries],
        [entry.notification.at for entry in entries],
    )


def _stored(entry: Entry, accepted_at: datetime, waits: bool) -> Stored:
    return Stored(
        notification=entry.notification,
        tenant=entry.tenant,
        body_hash=entry.body_hash,
        dialect=entry.dialect,
        command_id=entry.command_id,
        traceparent=entry.traceparent,
        accepted_at=accepted_at,
        waits=waits,
    )
