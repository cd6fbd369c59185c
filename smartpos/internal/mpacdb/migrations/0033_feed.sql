-- +goose Up

-- How far the payment gateway's event feed has been read, a row a shard. No tenant's: the cursor is the gateway's, opaque.
-- A page is read from `after`; its events up to and including applied_event have taken effect. The reader that holds the
-- lease writes the row in the transaction of each effect, so a reader that has lost the lease can apply nothing.
CREATE TABLE smarttab.feed_cursor (
    shard         integer PRIMARY KEY CHECK (shard >= 0),
    after         text NOT NULL DEFAULT '',
    applied_event text NOT NULL DEFAULT '',
    -- When the newest applied event was made: where a resync begins.
    applied_until timestamptz,
    resyncing     boolean NOT NULL DEFAULT false,
    lease_owner   text NOT NULL DEFAULT '',
    lease_until   timestamptz NOT NULL DEFAULT '-infinity',
    updated_at    timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT, UPDATE ON smarttab.feed_cursor TO svc_smarttab;

-- Events that could not be applied, and those that came after them for the same payment. Only the feed's own jobs see them.
CREATE TABLE smarttab.feed_parked (
    event_id    text PRIMARY KEY,
    shard       integer NOT NULL,
    -- The feed's order, which the events' ids do not have.
    position    bigint GENERATED ALWAYS AS IDENTITY,
    -- Our payment's id as the event gives it, or the intent's where it gives none.
    payment_ref text NOT NULL,
    type        text NOT NULL,
    event       jsonb NOT NULL,
    reason      text NOT NULL,
    attempts    integer NOT NULL DEFAULT 0,
    parked_at   timestamptz NOT NULL
);
CREATE INDEX feed_parked_payment ON smarttab.feed_parked (payment_ref, position);
ALTER TABLE smarttab.feed_parked ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY feed ON smarttab.feed_parked USING (mpac.scope_cross_tenant());
GRANT SELECT, INSERT, UPDATE, DELETE ON smarttab.feed_parked TO svc_smarttab;
