-- +goose Up

-- Answers to requests that carried an Idempotency-Key, kept 24 hours (two whole days of partitions). A key is unique per
-- caller within that time; partitions cannot say so with an index, so the lookup holds an advisory lock on caller and key.
CREATE TABLE smarttab.idempotency (
    id          uuid NOT NULL PRIMARY KEY,
    merchant_id uuid NOT NULL,
    store_id    uuid NOT NULL,
    caller      text NOT NULL,
    key         text NOT NULL,
    -- SHA-256 over method, path with query, and body.
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
    -- What the request is about, while its answer needs more than one transaction.
    subject     uuid,
    -- NULL: still running.
    status      integer CHECK (status BETWEEN 200 AND 599),
    body        bytea,
    created_at  timestamptz NOT NULL,
    CONSTRAINT idempotency_answer CHECK ((status IS NULL) = (body IS NULL) AND (status IS NOT NULL OR subject IS NOT NULL))
) PARTITION BY RANGE (id);
CREATE INDEX idempotency_key ON smarttab.idempotency (caller, key, id);

SELECT smarttab.partition_default('idempotency');
-- The owner is under row-level security as everybody.
SELECT set_config('mpac.cross_tenant', 'migration', true);
INSERT INTO smarttab.partition_retention (table_name, retain_days) VALUES ('idempotency', 2);

ALTER TABLE smarttab.idempotency ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON smarttab.idempotency USING (mpac.store_visible(merchant_id, store_id));
GRANT SELECT, INSERT, UPDATE ON smarttab.idempotency TO svc_smarttab;
