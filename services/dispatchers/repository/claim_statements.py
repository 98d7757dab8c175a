"""The statements that stage and claim."""

# A metered tenant's chunks are never claimed here: that
# keeps the account out of a statement of many tenants.
STAGE = """
WITH given AS (
    SELECT * FROM unnest($4::uuid[], $5::text[], $6::uuid[], $7::text[], $8::smallint[], $9::smallint[],
                         $10::smallint[], $11::smallint[], $12::timestamptz[], $13::float8[], $14::text[], $15::bytea[])
    WITH ORDINALITY AS g (chunk_id, tenant, notification_id, lane, partition, n, take, segments, expires_at, lifetime,
                          traceparent, body, place)
), planned AS (
    SELECT given.*, coalesce(decided.gate, 'open') AS gate, CASE
        WHEN take = 0 OR decided.gate <> 'open' THEN 0
        WHEN $3 AND EXISTS (SELECT FROM dispatch.account a WHERE a.tenant = given.tenant) THEN 0
        WHEN EXISTS (
            SELECT FROM dispatch.chunk older
            WHERE older.open AND older.gate = 'open' AND older.channel = $1 AND older.lane = given.lane
              AND older.tenant = given.tenant
        ) THEN 0 ELSE take END AS taken
    FROM given LEFT JOIN dispatch.gate decided USING (tenant, notification_id)
), staged AS (
    INSERT INTO dispatch.chunk (chunk_id, tenant, notification_id, channel, lane, partition, n, next, open, gate,
                                segments, expires_at, traceparent, body)
    SELECT chunk_id, tenant, notification_id, $1, lane, partition, n, taken, taken < n, gate, segments,
           coalesce(expires_at, now() + lifetime * interval '1 second'), traceparent, body
    FROM planned ORDER BY place
    ON CONFLICT (chunk_id) DO NOTHING
    RETURNING chunk_id, tenant, next AS hi, expires_at
), claimed AS MATERIALIZED (
    SELECT dispatch.new_claim_id() AS claim_id, * FROM staged WHERE hi > 0
), kept AS (
    INSERT INTO dispatch.claim (claim_id, chunk_id, tenant, channel, route, lo, hi, owner, incarnation, state,
                                lease_until)
    SELECT claim_id, chunk_id, tenant, $1, $2, 0, hi, $16, $17, 'held', now() + $18 FROM claimed
)
SELECT claim_id, chunk_id, hi, extract(epoch FROM expires_at - now())::float8 AS expires_in FROM claimed
"""

# What is claimed of a metered tenant is paid for in the same statement, with one update of its account for up to a
# thousand messages: the account needs no blocks that processes would hold of it and could lose.
_ACCOUNT = """account AS (
    SELECT balance FROM dispatch.account WHERE $1::bigint > 0 AND tenant = $2 FOR UPDATE
)"""
_RESERVE = """paid AS (
    UPDATE dispatch.account SET balance = balance - total, reserved = reserved + total, updated_at = now()
    FROM (SELECT sum(reserved)::bigint AS total FROM claimed) AS sums WHERE total > 0 AND tenant = $2
)"""

CLAIM_CHUNKS = f"""
WITH {_ACCOUNT}, head AS (
    SELECT c.chunk_id, position, next AS lo, n, segments FROM dispatch.chunk c
    WHERE open AND c.gate = 'open' AND channel = $3 AND lane = $4 AND c.tenant = $2
      AND ($5::smallint[] IS NULL OR partition = ANY ($5))
      AND NOT EXISTS (SELECT FROM dispatch.gate decided WHERE decided.tenant = c.tenant
                        AND decided.notification_id = c.notification_id AND decided.gate <> 'open')
    ORDER BY position LIMIT $6
    FOR UPDATE OF c SKIP LOCKED
), priced AS (
    SELECT head.*, balance, CASE WHEN balance IS NULL THEN 0 ELSE segments * $1 END AS cost
    FROM head LEFT JOIN account ON true
), summed AS (
    SELECT *, sum(n - lo) OVER (ORDER BY position) - (n - lo) AS before,
           (sum((n - lo) * cost) OVER (ORDER BY position) - (n - lo) * cost)::bigint AS spent
    FROM priced
), fitted AS (
    SELECT *, least(n - lo, $7 - before, CASE WHEN cost > 0 THEN (balance - spent) / cost END) AS take FROM summed
), moved AS (
    UPDATE dispatch.chunk c SET next = f.lo + f.take, open = f.lo + f.take < c.n
    FROM fitted f
    WHERE c.chunk_id = f.chunk_id AND f.take > 0 AND (f.before = 0 OR f.take = f.n - f.lo)
    RETURNING dispatch.new_claim_id() AS claim_id, c.chunk_id, f.lo, c.next AS hi, c.position, c.traceparent, c.body,
              c.expires_at, f.cost
), claimed AS (
    INSERT INTO dispatch.claim (claim_id, chunk_id, tenant, channel, route, lo, hi, owner, incarnation, state,
                                lease_until, reserved)
    SELECT claim_id, chunk_id, $2, $3, $8, lo, hi, $9, $10, 'held', now() + $11, (hi - lo) * cost FROM moved
    RETURNING reserved
), {_RESERVE}
SELECT claim_id, chunk_id, lo, hi, traceparent, body, cost, extract(epoch FROM expires_at - now())::float8 AS expires_in
FROM moved ORDER BY position
"""  # noqa: S608 - of constants

_DUE = """
    SELECT chunk_id, ordinal, due_at, segments FROM dispatch.item i
    WHERE claim_id IS NULL AND i.gate = 'open' AND channel = $3 AND lane = $4 AND i.tenant = $2 AND pinned = {pinned}
      AND due_at <= now()
      AND NOT EXISTS (SELECT FROM dispatch.gate decided WHERE decided.tenant = i.tenant
                        AND decided.notification_id = i.notification_id AND decided.gate <> 'open')
    ORDER BY due_at LIMIT {limit} FOR UPDATE OF i SKIP LOCKED
"""
CLAIM_ITEMS = f"""
WITH {_ACCOUNT}, own AS ({_DUE.format(pinned="$6", limit="$5")}
), anybody AS ({_DUE.format(pinned="''", limit="$5 - (SELECT count(*) FROM own)")}
), priced AS (
    SELECT due.*, balance, CASE WHEN balance IS NULL THEN 0 ELSE segments * $1 END AS cost
    FROM (SELECT * FROM own UNION ALL SELECT * FROM anybody) due LEFT JOIN account ON true
), summed AS (
    SELECT *, sum(cost) OVER (ORDER BY cost > 0, due_at, chunk_id, ordinal) AS spent FROM priced
), fitted AS (
    SELECT * FROM summed WHERE balance IS NULL OR spent <= balance
), named AS (
    SELECT chunk_id, dispatch.new_claim_id() AS claim_id, max(cost) AS cost, sum(cost)::bigint AS reserved
    FROM fitted GROUP BY chunk_id
), claimed AS (
    INSERT INTO dispatch.claim (claim_id, chunk_id, tenant, channel, route, lo, hi, owner, incarnation, state,
                                lease_until, reserved)
    SELECT claim_id, chunk_id, $2, $3, $6, 0, 0, $7, $8, 'held', now() + $9, reserved FROM named
    RETURNING reserved
), taken AS (
    UPDATE dispatch.item i SET claim_id = named.claim_id
    FROM fitted JOIN named USING (chunk_id) WHERE i.chunk_id = fitted.chunk_id AND i.ordinal = fitted.ordinal
    RETURNING i.chunk_id, i.ordinal, i.attempts, i.maybe_sent, i.segments = 0 AS paid, i.claim_id, named.cost
), {_RESERVE}
SELECT t.claim_id, c.chunk_id, t.cost, array_agg(t.ordinal ORDER BY t.ordinal) AS ordinals,
       array_agg(t.attempts ORDER BY t.ordinal) AS attempts, array_agg(t.maybe_sent ORDER BY t.ordinal) AS maybe_sent,
       array_agg(t.paid ORDER BY t.ordinal) AS paid,
       c.traceparent, c.body, extract(epoch FROM c.expires_at - now())::float8 AS expires_in
FROM taken t JOIN dispatch.chunk c USING (chunk_id) GROUP BY t.claim_id, t.cost, c.chunk_id
"""  # noqa: S608 - of constants

# A loose index scan: it touches one row for each tenant that has something, however much that is.
WAITING = """
WITH RECURSIVE chunks AS (
    (SELECT lane, tenant FROM dispatch.chunk WHERE open AND gate = 'open' AND channel = $1
     ORDER BY lane, tenant LIMIT 1)
    UNION ALL
    SELECT following.* FROM chunks last CROSS JOIN LATERAL (
        SELECT lane, tenant FROM dispatch.chunk
        WHERE open AND gate = 'open' AND channel = $1 AND (lane, tenant) > (last.lane, last.tenant)
        ORDER BY lane, tenant LIMIT 1) following
), items AS (
    (SELECT lane, tenant, pinned, due_at FROM dispatch.item WHERE claim_id IS NULL AND gate = 'open' AND channel = $1
     ORDER BY lane, tenant, pinned, due_at LIMIT 1)
    UNION ALL
    SELECT following.* FROM items last CROSS JOIN LATERAL (
        SELECT lane, tenant, pinned, due_at FROM dispatch.item
        WHERE claim_id IS NULL AND gate = 'open' AND channel = $1
          AND (lane, tenant, pinned) > (last.lane, last.tenant, last.pinned)
        ORDER BY lane, tenant, pinned, due_at LIMIT 1) following
)
SELECT lane, tenant, false AS exceptions, NULL AS pinned FROM chunks
UNION ALL SELECT lane, tenant, true, nullif(pinned, '') FROM items WHERE due_at <= now()
"""
