-- A notification as it was validated. `body` is its JSON; `body_hash` is of what was asked; `waits` was decided by this
-- database's clock at `accepted_at`, and both are what every event is derived from.
CREATE TABLE notification (
    notification_id uuid        PRIMARY KEY,
    tenant          text        NOT NULL,
    request_id      text,
    body_hash       bytea       NOT NULL,
    body            bytea       NOT NULL,
    dialect         text        NOT NULL,
    command_id      uuid        NOT NULL,
    traceparent     text,
    accepted_at     timestamptz NOT NULL DEFAULT now(),
    waits           boolean     NOT NULL
);

-- Internal producers name their requests; calls of the gateway have their ids already.
CREATE UNIQUE INDEX notification_request ON notification (tenant, request_id) WHERE request_id IS NOT NULL;
