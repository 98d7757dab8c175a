-- The frozen plan, a row per page of an audience. Written once, before anything of the page is published; never changed.
CREATE TABLE audience.page (
    tenant text COLLATE "C" NOT NULL,
    notification_id uuid NOT NULL,
    step smallint NOT NULL,
    generation integer NOT NULL,
    page integer NOT NULL,
    -- The page's recipients have the numbers first_number <= n < next_number, the planned ones first.
    first_number integer NOT NULL,
    next_number integer NOT NULL CHECK (next_number >= first_number),
    next_cursor text,
    planned integer NOT NULL,
    suppressed integer NOT NULL CHECK (planned + suppressed = next_number - first_number),
    -- Every decision, as services/audience/packing.py writes it.
    decisions bytea NOT NULL,
    -- What the page planned, for the pages after it: an address once per notification. None when no page follows.
    address_keys bytea,
    decided_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, notification_id, step, generation, page)
);

-- Both are compressed already.
ALTER TABLE audience.page ALTER COLUMN decisions SET STORAGE EXTERNAL, ALTER COLUMN address_keys SET STORAGE EXTERNAL;
