"""All the SQL of the gateway."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from libs.contracts.ids import NotificationId
from libs.storage import Connection, Database
from libs.wire import HttpResponse
from services.gateway.authorization import Credential, Tenant
from services.gateway.idempotency import Claim, Record, Settlement

SWEEP = 5_000

_CREDENTIALS = """
SELECT credential.prefix, credential.kind, credential.digest, credential.scopes, credential.resources,
       credential.expires_at, tenant.tenant, tenant.resources AS tenant_resources, tenant.requests_per_minute,
       tenant.may_call_loopback
FROM gateway.credential JOIN gateway.tenant USING (tenant)
WHERE credential.prefix = ANY($1::text[]) AND credential.revoked_at IS NULL
"""

# In the order of the primary key, so that two gateways with the same keys wait for each other and never in a circle.
# The conflict clause is the compare-and-set: a record changes hands when it is 15 days old (the key then makes a new
# request), or when it is without an answer for 5 s (no live request is behind it: the longest takes 3 s).
_CLAIM = """
INSERT INTO gateway.idempotency AS held (tenant, route, key, fingerprint, claim, ids, claimed_at, created_at)
SELECT tenant, route, key, fingerprint, claim, ids::jsonb, now(), now()
FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::uuid[], $6::text[])
     AS asked (tenant, route, key, fingerprint, claim, ids)
ORDER BY tenant, route, key
ON CONFLICT (tenant, route, key) DO UPDATE
SET fingerprint = excluded.fingerprint,
    claim = excluded.claim,
    ids = CASE WHEN held.created_at < now() - interval '15 days' THEN excluded.ids ELSE held.ids END,
    status = NULL,
    headers = NULL,
    body = NULL,
    claimed_at = excluded.claimed_at,
    created_at = CASE WHEN held.created_at < now() - interval '15 days' THEN now() ELSE held.created_at END
WHERE held.created_at < now() - interval '15 days'
   OR (held.status IS NULL AND held.claimed_at < now() - interval '5 seconds'
       AND held.fingerprint = excluded.fingerprint)
RETURNING tenant, route, key, fingerprint, claim, ids, status, headers, body
"""

_HELD_BY_OTHERS = """
SELECT held.tenant, held.route, held.key, held.fingerprint, held.claim, held.ids, held.status, held.headers, held.body
FROM unnest($1::text[], $2::text[], $3::text[]) AS asked (tenant, route, key)
JOIN gateway.idempotency AS held USING (tenant, route, key)
"""

_SETTLE = """
WITH settled AS (
    SELECT held.tenant, held.route, held.key, ended.status, ended.headers, ended.body
    FROM unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::smallint[], $6::text[], $7::bytea[])
         AS ended (tenant, route, key, claim, status, headers, body)
    JOIN gateway.idempotency AS held USING (tenant, route, key, claim)
    WHERE held.status IS NULL
    ORDER BY held.tenant, held.route, held.key
    FOR UPDATE OF held
)
UPDATE gateway.idempotency AS held
SET status = settled.status,
    headers = settled.headers::jsonb,
    body = settled.body,
    claimed_at = CASE WHEN settled.status IS NULL THEN '-infinity' ELSE held.claimed_at END
FROM settled
WHERE (held.tenant, held.route, held.key) = (settled.tenant, settled.route, settled.key)
"""

_FORGET = """
DELETE FROM gateway.idempotency
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM gateway.idempotency WHERE created_at < now() - interval '15 days' LIMIT $1
))
"""

_PUT_TENANT = """
INSERT INTO gateway.tenant (tenant, resources, requests_per_minute, may_call_loopback) VALUES ($1, $2::text[], $3, $4)
ON CONFLICT (tenant) DO UPDATE
SET resources = ARRAY(SELECT DISTINCT name FROM unnest(tenant.resources || excluded.resources) AS name ORDER BY name),
    requests_per_minute = excluded.requests_per_minute,
    may_call_loopback = excluded.may_call_loopback
"""

_PUT_CREDENTIAL = """
INSERT INTO gateway.credential AS known (prefix, tenant, kind, digest, scopes, resources, expires_at)
VALUES ($1, $2, $3, $4, $5::text[], $6::text[], $7)
ON CONFLICT (prefix) DO UPDATE
SET kind = excluded.kind, digest = excluded.digest, scopes = excluded.scopes, resources = excluded.resources,
    expires_at = excluded.expires_at
WHERE known.tenant = excluded.tenant
RETURNING prefix
"""

_REVOKE = """
UPDATE gateway.credential SET revoked_at = coalesce(revoked_at, now())
WHERE tenant = $1 AND prefix = $2
RETURNING prefix
"""


class GatewayRepository:
    """Tenants, credentials and idempotency records."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def credentials(self, prefixes: Sequence[str]) -> Mapping[str, Credential]:
        """Those of `prefixes` that exist and are not revoked. Raises Unavailable."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_CREDENTIALS, list(prefixes))
        return {
            row["prefix"]: Credential(
                prefix=row["prefix"],
                kind=row["kind"],
                tenant=Tenant(
                    row["tenant"],
                    frozenset(row["tenant_resources"]),
                    row["requests_per_minute"],
                    row["may_call_loopback"],
                ),
                digest=row["digest"],
                scopes=frozenset(row["scopes"]),
                resources=frozenset(row["resources"]),
                expires_at=row["expires_at"],
            )
            for row in rows
        }

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Record]:
        """See `IdempotencyRepository`. One round trip unless somebody else holds one of the keys."""
        async with self._database.connection() as connection:
            records = await _claimed(connection, claims)
            others = [claim for claim in claims if _place(claim) not in records]
            if others:
                columns = zip(*(_place(claim) for claim in others), strict=True)
                rows = await connection.fetch(_HELD_BY_OTHERS, *(list(column) for column in columns))
                records |= {(row["tenant"], row["route"], row["key"]): _record(row) for row in rows}
        return [records[_place(claim)] for claim in claims]

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """See `IdempotencyRepository`."""
        rows = [(*_place(ended.claim), ended.claim.claim, *_answer(ended.response)) for ended in settlements]
        async with self._database.connection() as connection:
            await connection.execute(_SETTLE, *(list(column) for column in zip(*rows, strict=True)))

    async def forget_expired(self) -> bool:
        """Delete some of the records that are too old; whether there may be more. Raises Unavailable."""
        async with self._database.connection() as connection:
            deleted = await connection.execute(_FORGET, SWEEP)
        return deleted == f"DELETE {SWEEP}"

    async def put(self, tenant: Tenant, credentials: Sequence[Credential]) -> None:
        """Add to a tenant or change it: resources are added, credentials replaced by prefix; what was revoked stays
        revoked. Raises LookupError where a prefix belongs to another tenant, Unavailable."""
        async with self._database.transaction() as connection:
            await connection.execute(
                _PUT_TENANT,
                tenant.name,
                sorted(tenant.resources),
                tenant.requests_per_minute,
                tenant.may_call_loopback,
            )
            for credential in credentials:
                taken = await connection.fetchval(
                    _PUT_CREDENTIAL,
                    credential.prefix,
                    tenant.name,
                    credential.kind,
                    credential.digest,
                    sorted(credential.scopes),
                    sorted(credential.resources),
                    credential.expires_at,
                )
                if taken is None:
                    raise LookupError(f"{credential.prefix} belongs to another tenant")

    async def revoke(self, tenant: str, prefix: str) -> bool:
        """End a credential for good; whether there is one. Raises Unavailable."""
        async with self._database.connection() as connection:
            return await connection.fetchval(_REVOKE, tenant, prefix) is not None


_Place = tuple[str, str, str]


def _place(claim: Claim) -> _Place:
    return claim.tenant, claim.route, claim.key


async def _claimed(connection: Connection, claims: Sequence[Claim]) -> dict[_Place, Record]:
    rows = [
        (*_place(claim), claim.fingerprint, claim.claim, json.dumps([str(number) for number in claim.ids]))
        for claim in claims
    ]
    taken = await connection.fetch(_CLAIM, *(list(column) for column in zip(*rows, strict=True)))
    return {(row["tenant"], row["route"], row["key"]): _record(row) for row in taken}


def _record(row: Any) -> Record:
    response = None
    if row["status"] is not None:
        response = HttpResponse(row["status"], json.loads(row["headers"]), row["body"])
    ids = tuple(NotificationId(UUID(text)) for text in json.loads(row["ids"]))
    return Record(row["claim"], row["fingerprint"], ids, response)


def _answer(response: HttpResponse | None) -> tuple[int | None, str | None, bytes | None]:
    if response is None:
        return None, None, None
    return response.status, json.dumps(dict(response.headers)), response.body
