-- The record's own timestamp, so that it can be sent round again as old as it is; and who did so last.
ALTER TABLE dead_letter
    ADD COLUMN recorded_at timestamptz,
    ADD COLUMN redriven_by text;
