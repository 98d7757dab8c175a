-- What was decided last about a notification: whether anything more of it may leave. No row: nobody has said anything.
CREATE TABLE audience.gate (
    tenant text COLLATE "C" NOT NULL,
    notification_id uuid NOT NULL,
    gate text NOT NULL,
    revision integer NOT NULL,
    controlled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, notification_id)
);

CREATE INDEX gate_controlled_at ON audience.gate (controlled_at);

-- Commands that came while the gate was shut, to be published again when it is not. A row stays until its page is frozen.
CREATE TABLE audience.parked (
    tenant text COLLATE "C" NOT NULL,
    notification_id uuid NOT NULL,
    step smallint NOT NULL,
    generation integer NOT NULL,
    page integer NOT NULL,
    -- The whole message, as services/audience/packing.py writes it.
    command bytea NOT NULL,
    traceparent text,
    parked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, notification_id, step, generation, page)
);

ALTER TABLE audience.parked ALTER COLUMN command SET STORAGE EXTERNAL;

-- For the sweep that drops plans which no redelivery can ask for any more.
CREATE INDEX page_decided_at ON audience.page (decided_at);
