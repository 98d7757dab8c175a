-- A claim says which route it is for; what waits belongs to none, unless an attempt of unknown outcome ties it to one.
ALTER TABLE dispatch.claim
    ADD COLUMN route text NOT NULL DEFAULT '',
    ADD COLUMN slipped boolean NOT NULL DEFAULT false,     -- recorded when a cancel was in force already
    ADD COLUMN reserved bigint NOT NULL DEFAULT 0;         -- held: micro-units taken for it; later: what it cost
UPDATE dispatch.claim k SET route = c.route
FROM dispatch.chunk c WHERE c.chunk_id = k.chunk_id AND k.state IN ('held', 'done');

-- What the owner of a notification decided last, as the scheduler says. No row: nothing was ever decided.
CREATE TABLE dispatch.gate (
    tenant          text NOT NULL,
    notification_id uuid NOT NULL,
    gate            text NOT NULL CHECK (gate IN ('open', 'paused', 'held', 'cancelled')),
    revision        integer NOT NULL,
    controlled_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, notification_id)
);
CREATE INDEX gate_recent ON dispatch.gate (controlled_at);
CREATE INDEX gate_cancelled ON dispatch.gate (controlled_at) WHERE gate = 'cancelled';

-- `gate` of chunks and items repeats dispatch.gate, so that claims pass over what is stopped by their index. It can be old for a moment; whoever claims asks dispatch.gate too, and a poll puts it right.
ALTER TABLE dispatch.chunk
    ADD COLUMN gate text NOT NULL DEFAULT 'open' CHECK (gate IN ('open', 'paused', 'held', 'cancelled')),
    ADD COLUMN segments smallint NOT NULL DEFAULT 1;       -- of one of its messages
DROP INDEX dispatch.chunk_open;
ALTER TABLE dispatch.chunk DROP COLUMN route;

-- What is staged with its claim enters none of these.
CREATE INDEX chunk_open ON dispatch.chunk (channel, lane, tenant, position) WHERE open AND gate = 'open';
CREATE INDEX chunk_expiring ON dispatch.chunk (channel, expires_at) WHERE open;
CREATE INDEX chunk_of_notification ON dispatch.chunk (notification_id) WHERE open;
CREATE INDEX chunk_cancelled ON dispatch.chunk (channel, position) WHERE open AND gate = 'cancelled';

ALTER TABLE dispatch.item
    ADD COLUMN pinned text NOT NULL DEFAULT '',            -- the only route that may take it; '': any
    ADD COLUMN gate text NOT NULL DEFAULT 'open' CHECK (gate IN ('open', 'paused', 'held', 'cancelled')),
    ADD COLUMN notification_id uuid,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN segments smallint NOT NULL DEFAULT 1;       -- still to be paid for; 0: it may have been sent, and is paid
UPDATE dispatch.item i
SET pinned = CASE WHEN i.maybe_sent THEN i.route ELSE '' END, notification_id = c.notification_id,
    expires_at = c.expires_at
FROM dispatch.chunk c WHERE c.chunk_id = i.chunk_id;
DROP INDEX dispatch.item_waiting;
ALTER TABLE dispatch.item
    DROP COLUMN route,
    ALTER COLUMN notification_id SET NOT NULL,
    ALTER COLUMN expires_at SET NOT NULL;

CREATE INDEX item_waiting ON dispatch.item (channel, lane, tenant, pinned, due_at)
    WHERE claim_id IS NULL AND gate = 'open';
CREATE INDEX item_expiring ON dispatch.item (channel, expires_at) WHERE claim_id IS NULL;
CREATE INDEX item_of_notification ON dispatch.item (notification_id) WHERE claim_id IS NULL;
CREATE INDEX item_cancelled ON dispatch.item (channel) WHERE claim_id IS NULL AND gate = 'cancelled';

-- A tenant's money in micro-units of its currency, for all channels. No row: the tenant is not metered. Claims keep the
-- balance from going below zero; a CHECK cannot, for an update that meets a newer version of the row is checked with the
-- old one first.
CREATE TABLE dispatch.account (
    tenant     text PRIMARY KEY,
    currency   text NOT NULL,
    topped_up  bigint NOT NULL DEFAULT 0,
    balance    bigint NOT NULL DEFAULT 0,
    reserved   bigint NOT NULL DEFAULT 0,                  -- for claims that are held
    spent      bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (balance + reserved + spent = topped_up)
) WITH (fillfactor = 50);
