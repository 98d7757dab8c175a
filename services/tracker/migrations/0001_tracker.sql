-- Every key begins with a time-ordered id, so that tables can be cut into ranges of time and dropped range by range.

-- What was asked, how much of it there is, and how much stands in which state. Any fact may come first, so everything
-- but the key may be missing.
CREATE TABLE tracker.notification (
    notification_id uuid NOT NULL,
    tenant text NOT NULL,
    channel text,
    lane text,
    dialect text,
    accepted_at timestamptz,
    due_at timestamptz,
    trace_id text,
    external jsonb,
    content_sha256 text,
    rejected text,
    totals_known boolean NOT NULL DEFAULT false,
    expected_planned integer NOT NULL DEFAULT 0,
    expected_suppressed integer NOT NULL DEFAULT 0,
    queued integer NOT NULL DEFAULT 0,
    sending integer NOT NULL DEFAULT 0,
    retrying integer NOT NULL DEFAULT 0,
    unknown integer NOT NULL DEFAULT 0,
    sent integer NOT NULL DEFAULT 0,
    on_phone integer NOT NULL DEFAULT 0,
    delivered integer NOT NULL DEFAULT 0,
    not_delivered integer NOT NULL DEFAULT 0,
    carrier_rejected integer NOT NULL DEFAULT 0,
    no_funds integer NOT NULL DEFAULT 0,
    failed integer NOT NULL DEFAULT 0,
    expired integer NOT NULL DEFAULT 0,
    cancelled integer NOT NULL DEFAULT 0,
    suppressed integer NOT NULL DEFAULT 0,
    PRIMARY KEY (notification_id, tenant)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

-- The totals of each expansion, so that one told twice counts once.
CREATE TABLE tracker.expansion (
    notification_id uuid NOT NULL,
    tenant text NOT NULL,
    step smallint NOT NULL,
    generation smallint NOT NULL,
    planned integer NOT NULL,
    suppressed integer NOT NULL,
    PRIMARY KEY (notification_id, tenant, step, generation)
);

-- A rejection may name no notification: then only its sender's own id and its origin lead to it.
CREATE TABLE tracker.rejection (
    event_id uuid PRIMARY KEY,
    tenant text NOT NULL,
    notification_id uuid,
    request_id text,
    origin text NOT NULL,
    reason text NOT NULL,
    rejected_at timestamptz NOT NULL
);

-- Sixty-four consecutive deliveries. No index on what changes, and half a page free: every update is a HOT update.
CREATE TABLE tracker.block (
    block_id uuid NOT NULL,
    tenant text NOT NULL,
    states bytea NOT NULL,
    details bytea NOT NULL,
    reasons text NOT NULL,
    PRIMARY KEY (block_id, tenant)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

-- Who the deliveries of a block go to: written once. Tuples stay whole, compressing them costs more than it saves.
CREATE TABLE tracker.recipients (
    block_id uuid NOT NULL,
    tenant text NOT NULL,
    generation smallint NOT NULL,
    first_offset smallint NOT NULL,
    channel text NOT NULL,
    client_ids bytea NOT NULL,
    addresses text,
    PRIMARY KEY (block_id, tenant, generation, first_offset)
) WITH (toast_tuple_target = 8160);

-- The history. Its rows are only ever added, once per event (see folded), and read by block.
CREATE TABLE tracker.attempts (
    block_id uuid NOT NULL,
    tenant text NOT NULL,
    generation smallint NOT NULL,
    provider text NOT NULL,
    finished_at timestamptz NOT NULL,
    offsets bytea NOT NULL,
    attempts bytea NOT NULL,
    states bytea NOT NULL,
    reasons text NOT NULL,
    message_ids text NOT NULL
) WITH (toast_tuple_target = 8160);
CREATE INDEX attempts_block ON tracker.attempts (block_id);

CREATE TABLE tracker.receipts (
    block_id uuid NOT NULL,
    tenant text NOT NULL,
    generation smallint NOT NULL,
    provider text NOT NULL,
    entries bytea NOT NULL
) WITH (toast_tuple_target = 8160);
CREATE INDEX receipts_block ON tracker.receipts (block_id);

CREATE TABLE tracker.correction (
    delivery_id uuid NOT NULL,
    tenant text NOT NULL,
    corrected_at timestamptz NOT NULL,
    PRIMARY KEY (delivery_id, tenant)
);

-- Which delivery a carrier's own id means: the low 32 bits of its id beside its notification's. The key is half of a 128-bit hash and may
-- repeat, the rest decides; an id that a carrier uses again means the later delivery.
CREATE TABLE tracker.submission (
    key bigint NOT NULL,
    rest bigint NOT NULL,
    notification_id uuid NOT NULL,
    low bigint NOT NULL,
    generation smallint NOT NULL,
    tenant text NOT NULL
);
CREATE INDEX submission_key ON tracker.submission (key) WITH (deduplicate_items = off);

-- Receipts whose submission is not known yet. Nobody knows their tenant.
CREATE TABLE tracker.orphan (
    orphan_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key bigint NOT NULL,
    rest bigint NOT NULL,
    provider text NOT NULL,
    state smallint NOT NULL,
    code text NOT NULL,
    reported_at bigint NOT NULL,
    received_at bigint NOT NULL,
    kept_since timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX orphan_key ON tracker.orphan (key);
CREATE INDEX orphan_due ON tracker.orphan (due_at);

-- The events whose history was added. Older rows than the longest replay (14 days) can go.
CREATE TABLE tracker.folded (
    event_id uuid PRIMARY KEY,
    folded_at timestamptz NOT NULL DEFAULT now()
);
