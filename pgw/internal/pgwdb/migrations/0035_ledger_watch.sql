-- +goose Up
-- What the watch over the ledger has found, and where it goes on: a task that takes it over knows both.

-- Ledger transactions that do not come to zero, until they do again.
CREATE TABLE pgw.ledger_imbalances (
    transaction_id text COLLATE "C" PRIMARY KEY,
    partner_id     text NOT NULL,
    mode           text NOT NULL CHECK (mode IN ('test', 'live')),
    -- Minor unit: by how much its currencies are off, without signs.
    off            bigint NOT NULL CHECK (off > 0),
    found_at       timestamptz NOT NULL,
    looked_at      timestamptz NOT NULL
);
CREATE INDEX ON pgw.ledger_imbalances (looked_at, transaction_id);
ALTER TABLE pgw.ledger_imbalances ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgw.ledger_imbalances FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON pgw.ledger_imbalances USING (pgw.visible(partner_id, mode));
GRANT SELECT, INSERT, UPDATE, DELETE ON pgw.ledger_imbalances TO pgw_backend;

-- The rounds that the watch makes through the ledger.
CREATE TABLE pgw.ledger_watch (
    round    text PRIMARY KEY CHECK (round IN ('recent', 'all')),
    -- The id at which it goes on; '' begins anew.
    next_id  text COLLATE "C" NOT NULL,
    -- When it came to the end last; NULL: not yet.
    whole_at timestamptz
);
ALTER TABLE pgw.ledger_watch ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgw.ledger_watch FORCE ROW LEVEL SECURITY;
CREATE POLICY jobs_only ON pgw.ledger_watch USING (pgw.scope_cross_tenant() IS NOT NULL);
GRANT SELECT, INSERT, UPDATE ON pgw.ledger_watch TO pgw_backend;
