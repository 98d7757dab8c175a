-- How far the messages a second of a route are given away, whoever sends them. A crash of the database may forget it:
-- it takes longer to come back than what was given away lasts.
CREATE UNLOGGED TABLE dispatch.rate (
    channel   text NOT NULL,
    route     text NOT NULL,
    next_free timestamptz NOT NULL,   -- what comes before is given away
    bulk_free timestamptz NOT NULL,   -- the same for the bulk lane, which leaves a fifth while the urgent lane asks
    urgent_at timestamptz NOT NULL,   -- when the urgent lane asked last
    PRIMARY KEY (channel, route)
) WITH (fillfactor = 20);
