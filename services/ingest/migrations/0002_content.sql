-- Bodies too large for the bus, immutable under their hash. `named_at`: when a notification first named it; what none
-- names within a day may go.
CREATE TABLE content (
    tenant     text        NOT NULL,
    sha256     bytea       NOT NULL,
    body       bytea       NOT NULL,
    size       bigint      NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    named_at   timestamptz,
    PRIMARY KEY (tenant, sha256)
);
