-- Pause, resume, cancel, another start; a start that was missed.

-- waiting -> fired; stopped: nothing may be released until somebody says so; cancelled: never.
-- `at` is the start that was asked for, by the clock on the wall (`wall`, `zone`, found by the rules of `tzdata`) where
-- it was asked for so. `due` is when it may leave: later than `at` for what was stopped then.
ALTER TABLE waiting DROP CONSTRAINT waiting_state_check;
ALTER TABLE waiting
    ADD COLUMN urgent   boolean NOT NULL DEFAULT false,
    ADD COLUMN due      timestamptz,
    ADD COLUMN wall     text,
    ADD COLUMN zone     text,
    ADD COLUMN tzdata   text,
    ADD COLUMN ended_at timestamptz;

-- What is fired and Kafka may not have yet: a row for all that was taken at once, gone when Kafka acknowledged, so that a
-- release costs each notification one update and not two.
CREATE TABLE claim (
    claim_id         uuid        PRIMARY KEY,
    owner            text        NOT NULL,
    claimed_at       timestamptz NOT NULL,
    tenants          text[]      NOT NULL,
    notification_ids uuid[]      NOT NULL
);

INSERT INTO claim (claim_id, owner, claimed_at, tenants, notification_ids)
SELECT gen_random_uuid(), '', '-infinity', array_agg(tenant), array_agg(notification_id)
  FROM waiting WHERE state = 'firing' HAVING count(*) > 0;

UPDATE waiting
   SET state = CASE WHEN state = 'firing' THEN 'fired' ELSE state END,
       due = at,
       urgent = convert_from(body, 'UTF8')::json ->> 'lane' = 'urgent',
       wall = convert_from(body, 'UTF8')::json ->> 'wall',
       zone = convert_from(body, 'UTF8')::json ->> 'zone',
       ended_at = claimed_at;

DROP INDEX waiting_due;
DROP INDEX waiting_claimed;
ALTER TABLE waiting
    ADD CONSTRAINT waiting_state_check CHECK (state IN ('waiting', 'stopped', 'fired', 'cancelled')),
    ALTER COLUMN due SET NOT NULL,
    DROP COLUMN claimed_at;

CREATE INDEX waiting_due ON waiting (urgent, due) WHERE state = 'waiting';
CREATE INDEX waiting_ended ON waiting (ended_at) WHERE ended_at IS NOT NULL;

-- What is in force for whatever was controlled, whether its acceptance has come or not; who was never controlled has no
-- row. `waits`: it is held here, and `at`, `wall`, `zone` are the start that holds; else these are what a reschedule asked
-- for that came before the acceptance. `announced`: Kafka has it, or its command will bring it there.
CREATE TABLE control (
    tenant          text        NOT NULL,
    notification_id uuid        NOT NULL,
    gate            text        NOT NULL CHECK (gate IN ('open', 'paused', 'held', 'cancelled')),
    revision        integer     NOT NULL CHECK (revision > 0),
    waits           boolean     NOT NULL,
    at              timestamptz,
    wall            text,
    zone            text,
    missed          boolean     NOT NULL,
    reason          text        NOT NULL,
    cause_id        uuid        NOT NULL,
    traceparent     text,
    changed_at      timestamptz NOT NULL,
    announced       boolean     NOT NULL,
    PRIMARY KEY (tenant, notification_id)
);

CREATE INDEX control_to_announce ON control (changed_at) WHERE NOT announced;
CREATE INDEX control_changed ON control (changed_at);

-- Who said what, and what came of it: a command that comes again is not obeyed again.
CREATE TABLE control_command (
    tenant          text        NOT NULL,
    notification_id uuid        NOT NULL,
    command_id      uuid        NOT NULL,
    action          text        NOT NULL,
    refusal         text,
    revision        integer     NOT NULL,
    decided_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, notification_id, command_id)
);

CREATE INDEX control_command_decided ON control_command (decided_at);
