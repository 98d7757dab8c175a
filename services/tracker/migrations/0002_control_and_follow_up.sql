-- What was decided about a notification after it was accepted, and what is to be done when something of it fails or
-- ends. `started_at` is the start that holds where its owner changed it; `fallback_after` has a number of seconds for
-- each step. Both that and `callback` stay as they are for what asks for neither.
ALTER TABLE tracker.notification
    ADD COLUMN gate text,
    ADD COLUMN control_revision integer NOT NULL DEFAULT 0,
    ADD COLUMN control_reason text NOT NULL DEFAULT '',
    ADD COLUMN starts_at timestamptz,
    ADD COLUMN slipped integer NOT NULL DEFAULT 0,
    ADD COLUMN rounds integer NOT NULL DEFAULT 0,
    ADD COLUMN fallback_after integer[],
    ADD COLUMN callback boolean;

-- A fallback or a resend is expanded in parts.
ALTER TABLE tracker.expansion ADD COLUMN part integer NOT NULL DEFAULT 0;
ALTER TABLE tracker.expansion DROP CONSTRAINT expansion_pkey;
ALTER TABLE tracker.expansion ADD PRIMARY KEY (notification_id, tenant, step, generation, part);

-- None: the deliveries follow each other from first_offset.
ALTER TABLE tracker.recipients ADD COLUMN offsets bytea;

-- What was asked, as JSON without the recipients, for whoever is tried again. Apart from the counters: a row that
-- changes with every batch should not carry it along.
CREATE TABLE tracker.request (
    notification_id uuid NOT NULL,
    tenant text NOT NULL,
    body text NOT NULL,
    traceparent text,
    PRIMARY KEY (notification_id, tenant)
);

-- When to look whether deliveries of a step need the next one. The deliveries are the `count` numbers from first_number
-- on, or those in `numbers` (4 bytes each). 'infinity': the notification is paused.
CREATE TABLE tracker.timer (
    timer_id uuid PRIMARY KEY,
    notification_id uuid NOT NULL,
    tenant text NOT NULL,
    step smallint NOT NULL,
    generation smallint NOT NULL,
    first_number integer NOT NULL,
    count integer NOT NULL,
    numbers bytea,
    due_at timestamptz NOT NULL
) WITH (toast_tuple_target = 8160);
CREATE INDEX timer_due ON tracker.timer (due_at);
CREATE INDEX timer_notification ON tracker.timer (notification_id);

-- Notifications whose caller wants to hear of them: when to look for news (none: there are none), and the round and
-- state that were told as the end.
CREATE TABLE tracker.callback (
    notification_id uuid NOT NULL,
    tenant text NOT NULL,
    due_at timestamptz,
    told_round integer,
    told_state text,
    PRIMARY KEY (notification_id, tenant)
) WITH (fillfactor = 70);
CREATE INDEX callback_due ON tracker.callback (due_at) WHERE due_at IS NOT NULL;

-- What was told of a block: a byte of state and one of generation for each delivery, empty before anything was.
CREATE TABLE tracker.told (
    block_id uuid NOT NULL,
    tenant text NOT NULL,
    told bytea NOT NULL DEFAULT '',
    stale boolean NOT NULL DEFAULT true,
    PRIMARY KEY (block_id, tenant)
) WITH (fillfactor = 70);
CREATE INDEX told_stale ON tracker.told (block_id) WHERE stale;

-- Messages on their way to the bus, written with what they follow from.
CREATE TABLE tracker.outbox (
    outbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL,
    topic text NOT NULL,
    body text NOT NULL,
    traceparent text,
    leased_until timestamptz NOT NULL DEFAULT now()
);
