-- Records that could not be processed. What a header or a record lacked (NULL) or held (any bytes) is kept as it was.
CREATE TABLE dead_letter (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic           text        NOT NULL,
    partition       integer     NOT NULL,
    record_offset   bigint      NOT NULL,
    key             bytea,
    value           bytea,
    header_names    text[]      NOT NULL,
    header_values   bytea[]     NOT NULL,
    error_class     text        NOT NULL,
    reason          text        NOT NULL,
    service_version text        NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    redriven_at     timestamptz,
    UNIQUE (topic, partition, record_offset)
);

CREATE INDEX dead_letter_created_at ON dead_letter (created_at);
