-- +goose Up

-- An event that can never be applied is given up by two people. The row stays: it is the record of what they decided.
ALTER TABLE smarttab.feed_parked
    ADD COLUMN dropped_at      timestamptz,
    ADD COLUMN dropped_by      text,
    ADD COLUMN approved_by     text,
    ADD COLUMN dropped_because text,
    ADD CONSTRAINT feed_parked_dropped CHECK (
        (dropped_at IS NULL AND dropped_by IS NULL AND approved_by IS NULL AND dropped_because IS NULL)
        OR (dropped_at IS NOT NULL AND dropped_by <> '' AND approved_by <> '' AND dropped_because <> ''
            AND lower(dropped_by) <> lower(approved_by)));
