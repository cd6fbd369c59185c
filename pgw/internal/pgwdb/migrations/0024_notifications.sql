-- +goose Up
-- What providers told us, as received. Nothing in it is believed: a notification makes the gateway ask the provider's API. So it
-- belongs to no tenant, and only the job that takes notifications sees it.
CREATE TABLE pgw.provider_notifications (
    -- pn_, the UTC day in ULID's ten time characters, and 80 bits of the payload's hash: the same payload on one day is one row.
    id          text COLLATE "C" PRIMARY KEY,
    provider    text NOT NULL,
    source      inet NOT NULL,
    payload     text NOT NULL,
    -- transaction: about a payment; file: a settlement file is there; other: kept and not acted on.
    kind        text NOT NULL CHECK (kind IN ('transaction', 'file', 'other')),
    received_at timestamptz NOT NULL,
    -- How often it came again on its day.
    repeats     integer NOT NULL DEFAULT 0
) PARTITION BY RANGE (id);
CREATE TABLE pgw.provider_notifications_default PARTITION OF pgw.provider_notifications DEFAULT;

-- Settlement files that a provider announced. The address lives for hours and opens the file to whoever has it.
CREATE TABLE pgw.provider_files (
    id           text COLLATE "C" PRIMARY KEY CHECK (id LIKE 'pf\_%'),
    provider     text NOT NULL,
    -- The provider's merchant id, read from the file's name; empty when it is not in there.
    contract_id  text NOT NULL,
    name         text NOT NULL,
    url          text NOT NULL,
    announced_at timestamptz NOT NULL,
    fetched_at   timestamptz,
    UNIQUE (provider, name, url)
);

ALTER TABLE pgw.provider_notifications ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgw.provider_notifications FORCE ROW LEVEL SECURITY;
CREATE POLICY jobs_only ON pgw.provider_notifications USING (pgw.scope_cross_tenant() IS NOT NULL);
ALTER TABLE pgw.provider_files ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgw.provider_files FORCE ROW LEVEL SECURITY;
CREATE POLICY jobs_only ON pgw.provider_files USING (pgw.scope_cross_tenant() IS NOT NULL);
SELECT pgw.partition_guard('provider_notifications_default');

SELECT set_config('mpac.cross_tenant', 'migration', true);
INSERT INTO pgw.partitioned_tables (table_name, id_column, id_prefix, retain_days) VALUES ('provider_notifications', 'id', 'pn', 30);

GRANT SELECT, INSERT, UPDATE ON pgw.provider_notifications, pgw.provider_files TO pgw_backend;
GRANT SELECT, UPDATE ON pgw.provider_files TO matcher;
