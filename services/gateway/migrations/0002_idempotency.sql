-- A key, the ids it gave out before anything was published, and the answer once there is one.
CREATE TABLE gateway.idempotency (
    tenant      text NOT NULL,
    route       text NOT NULL,
    key         text NOT NULL,
    fingerprint bytea NOT NULL,
    claim       uuid NOT NULL,
    ids         jsonb NOT NULL,
    status      smallint,
    headers     jsonb,
    body        bytea,
    claimed_at  timestamptz NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant, route, key)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

-- Rows arrive in this order and are deleted in it; a B-tree would cost every call more than it saves the sweep.
CREATE INDEX idempotency_created_at ON gateway.idempotency USING brin (created_at);
