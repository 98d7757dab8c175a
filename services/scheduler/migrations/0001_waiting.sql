-- What waits for its instant. A row outlives its release, so that an acceptance that is delivered again finds it.
-- waiting -> firing (claimed, to be published) -> fired (Kafka acknowledged).
CREATE TABLE waiting (
    tenant          text        NOT NULL,
    notification_id uuid        NOT NULL,
    at              timestamptz NOT NULL,
    body            bytea       NOT NULL,
    acceptance_id   uuid        NOT NULL,
    traceparent     text,
    state           text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'firing', 'fired')),
    held_at         timestamptz NOT NULL DEFAULT now(),
    released_at     timestamptz,
    claimed_at      timestamptz,
    PRIMARY KEY (tenant, notification_id)
);

CREATE INDEX waiting_due ON waiting (at) WHERE state = 'waiting';
CREATE INDEX waiting_claimed ON waiting (claimed_at) WHERE state = 'firing';
