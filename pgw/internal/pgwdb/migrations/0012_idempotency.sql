-- +goose Up
-- What was asked under an Idempotency-Key and what was answered. The id is made from what it must be unique in: the UTC day
-- (in ULID's ten time characters) and a hash of the credential and the key. So the primary key is the uniqueness, a day is
-- a partition, and looking up today's and yesterday's id is looking up the key of the last 24 hours.
CREATE TABLE pgw.idempotency_keys (
    id          TEXT COLLATE "C" PRIMARY KEY CHECK (id LIKE 'ik\_%'),
    partner_id  TEXT COLLATE "C" NOT NULL,
    mode        TEXT NOT NULL,
    -- SHA-256 of method, path and body without payment_token.
    fingerprint BYTEA NOT NULL CHECK (length(fingerprint) = 32),
    state       TEXT NOT NULL CHECK (state IN ('running', 'finished')),
    -- The answer, byte for byte, sealed: it may hold a payment token.
    answer      BYTEA,
    created_at  TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ,
    CHECK ((state = 'finished') = (answer IS NOT NULL)),
    CHECK ((state = 'finished') = (finished_at IS NOT NULL))
) PARTITION BY RANGE (id);
CREATE TABLE pgw.idempotency_keys_default PARTITION OF pgw.idempotency_keys DEFAULT;

-- The replay guard: which key a signature came with. The id holds the day of the signed timestamp and a hash of partner and
-- signature, so two uses of a signature always meet in one row.
CREATE TABLE pgw.request_signatures (
    id         TEXT COLLATE "C" PRIMARY KEY CHECK (id LIKE 'sg\_%'),
    partner_id TEXT COLLATE "C" NOT NULL,
    mode       TEXT NOT NULL,
    -- The hash of credential and key, as in idempotency_keys.id after its day.
    key_hash   TEXT NOT NULL
) PARTITION BY RANGE (id);
CREATE TABLE pgw.request_signatures_default PARTITION OF pgw.request_signatures DEFAULT;

-- +goose StatementBegin
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['idempotency_keys', 'idempotency_keys_default', 'request_signatures', 'request_signatures_default'] LOOP
        EXECUTE format('ALTER TABLE pgw.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE pgw.%I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON pgw.%I USING (pgw.visible(partner_id, mode))', t);
    END LOOP;
END
$$;
-- +goose StatementEnd
GRANT SELECT, INSERT, UPDATE, DELETE ON pgw.idempotency_keys, pgw.request_signatures TO pgw_backend;
