-- A chunk is stored once, with how far it is claimed. A row per delivery costs six to thirty times more.
CREATE TABLE dispatch.chunk (
    chunk_id        uuid PRIMARY KEY,
    position        bigint GENERATED ALWAYS AS IDENTITY,  -- the order of arrival: what is older is claimed first
    tenant          text NOT NULL,
    notification_id uuid NOT NULL,
    channel         text NOT NULL,
    lane            text NOT NULL,
    route           text NOT NULL,
    partition       smallint NOT NULL,
    n               smallint NOT NULL,
    next            smallint NOT NULL,                     -- ordinals below it are claimed
    open            boolean NOT NULL,                      -- next < n
    staged_at       timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz NOT NULL,
    traceparent     text,
    body            bytea                                  -- the command as JSON, zstd; null once all of it is terminal
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02);

-- It is compressed already.
ALTER TABLE dispatch.chunk ALTER COLUMN body SET STORAGE EXTERNAL;

-- What is staged with its claim never enters this index.
CREATE INDEX chunk_open ON dispatch.chunk (channel, route, lane, tenant, position) WHERE open;
CREATE INDEX chunk_with_body ON dispatch.chunk (staged_at) WHERE body IS NOT NULL;
CREATE INDEX chunk_age ON dispatch.chunk USING brin (staged_at);

-- Random behind 48 bits of milliseconds, as in a UUIDv7: new claims lie side by side, old ones are one range of ids.
CREATE FUNCTION dispatch.new_claim_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(overlay(uuid_send(gen_random_uuid())
        PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1), 'hex')::uuid
$$;

-- A claimed range [lo, hi) of a chunk, or (lo = hi) those items that carry its id. The id is the fencing token and
-- sorts by time.
CREATE TABLE dispatch.claim (
    claim_id    uuid PRIMARY KEY,
    chunk_id    uuid NOT NULL,
    tenant      text NOT NULL,
    channel     text NOT NULL,
    lo          smallint NOT NULL,
    hi          smallint NOT NULL,
    owner       text NOT NULL,                             -- the replica
    incarnation uuid NOT NULL,                             -- and which of its lives
    state       text NOT NULL CHECK (state IN ('held', 'done', 'reported', 'lost')),
    lease_until timestamptz NOT NULL,                      -- held: until when it may be sent; done: until when its owner reports it
    result      bytea                                      -- delivery.attempted as JSON, zstd; null when nothing was attempted
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE dispatch.claim ALTER COLUMN result SET STORAGE EXTERNAL;
CREATE INDEX claim_unfinished ON dispatch.claim (lease_until) WHERE state IN ('held', 'done');

-- Exceptions only. A chunk id holds its generation, so a resend is another chunk and never meets these rows.
CREATE TABLE dispatch.item (
    chunk_id   uuid NOT NULL,
    ordinal    smallint NOT NULL,
    tenant     text NOT NULL,
    channel    text NOT NULL,
    lane       text NOT NULL,
    route      text NOT NULL,
    state      text NOT NULL CHECK (state IN ('retry', 'deferred', 'ambiguous')),
    maybe_sent boolean NOT NULL,                           -- some attempt's outcome is not known
    attempts   smallint NOT NULL,
    due_at     timestamptz NOT NULL,
    claim_id   uuid,                                       -- null: waiting
    PRIMARY KEY (chunk_id, ordinal)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX item_waiting ON dispatch.item (channel, route, lane, tenant, due_at) WHERE claim_id IS NULL;
