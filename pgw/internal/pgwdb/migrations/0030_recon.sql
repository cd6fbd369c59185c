-- +goose Up
-- The matcher's books. A run is one partner's contract with one provider and one day; it has a version for each time its inputs
-- changed. What is staged while a run works lives in temporary tables of its session: unlogged, seen by nobody else, and gone
-- with the session that also holds the run's lock.

CREATE TABLE pgw.recon_runs (
    -- Made from what the run is of, so that the same day has the same id on every machine.
    id          text COLLATE "C" PRIMARY KEY CHECK (id LIKE 'rr\_%'),
    partner_id  text COLLATE "C" NOT NULL,
    mode        text NOT NULL CHECK (mode IN ('test', 'live')),
    provider    text NOT NULL,
    contract_id text NOT NULL,
    -- The provider's day (PayPay: Tokyo).
    day         date NOT NULL,
    status      text NOT NULL CHECK (status IN ('running', 'matched', 'exceptions_open', 'failed')),
    -- The newest complete version; 0: none yet.
    version     integer NOT NULL DEFAULT 0 CHECK (version >= 0),
    -- The version whose matches and exceptions are being written; a killed run leaves it here and the next one goes on with it.
    writing     integer CHECK (writing = version + 1),
    -- What it was doing last, for whoever watches.
    stage       text NOT NULL,
    error       text,
    tries       integer NOT NULL CHECK (tries > 0),
    started_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    finished_at timestamptz,
    UNIQUE (partner_id, mode, provider, contract_id, day)
);
CREATE INDEX ON pgw.recon_runs (partner_id, mode, day, id);

-- A file as it was received. The same content again is the same row; other content for the same day is a new version.
CREATE TABLE pgw.recon_files (
    run_id      text COLLATE "C" NOT NULL REFERENCES pgw.recon_runs,
    sha256      text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    partner_id  text COLLATE "C" NOT NULL,
    mode        text NOT NULL,
    version     integer NOT NULL CHECK (version > 0),
    name        text NOT NULL,
    bytes       bigint NOT NULL,
    -- Where it was read from or is kept, when it arrived there, and who brought it in.
    location    text NOT NULL,
    received_at timestamptz NOT NULL,
    received_by text NOT NULL,
    PRIMARY KEY (run_id, sha256),
    UNIQUE (run_id, version)
);

-- The outcome of one version of a run. Written once, at its end, and never changed.
CREATE TABLE pgw.recon_results (
    run_id       text COLLATE "C" NOT NULL REFERENCES pgw.recon_runs,
    version      integer NOT NULL CHECK (version > 0),
    partner_id   text COLLATE "C" NOT NULL,
    mode         text NOT NULL,
    file_sha256  text NOT NULL,
    -- The order in which results came about, whatever clocks say.
    completion   bigint GENERATED ALWAYS AS IDENTITY,
    -- Exceptions of the contract open after it: what the next one begins with.
    open_after   bigint NOT NULL,
    -- The figures of the report.
    figures      json NOT NULL,
    completed_at timestamptz NOT NULL,
    PRIMARY KEY (run_id, version),
    FOREIGN KEY (run_id, file_sha256) REFERENCES pgw.recon_files
);

-- A gateway item (a charge's attempt or a refund) and the line that settles it. One row an item for ever: the id is the item's
-- own ULID, so the primary key is the uniqueness and a day is a partition.
CREATE TABLE pgw.recon_matches (
    id                  text COLLATE "C" PRIMARY KEY CHECK (id LIKE 'rm\_%'),
    partner_id          text COLLATE "C" NOT NULL,
    mode                text NOT NULL,
    run_id              text COLLATE "C" NOT NULL,
    version             integer NOT NULL,
    -- A later version of the run found that the line is gone or different.
    withdrawn_version   integer CHECK (withdrawn_version > version),
    -- The day of the file that has the line.
    line_day            date NOT NULL,
    line_number         integer NOT NULL,
    entry               text NOT NULL CHECK (entry IN ('charge', 'refund')),
    gateway_id          text COLLATE "C" NOT NULL,
    payment_intent_id   text COLLATE "C" NOT NULL,
    provider_payment_id text NOT NULL,
    reference           text NOT NULL,
    provider_store_id   text NOT NULL,
    -- Minor unit; negative for refunds.
    amount              bigint NOT NULL,
    currency            text NOT NULL,
    line_accepted_at    timestamptz NOT NULL,
    gateway_accepted_at timestamptz NOT NULL,
    rule                text NOT NULL CHECK (rule IN ('exact')),
    -- Settled by the file of a later day.
    late                boolean NOT NULL,
    -- Found by a run of another day than the item's or the line's: what those days' runs must know when they run again.
    off_day             boolean NOT NULL,
    -- The exception it cleared.
    exception_id        text COLLATE "C"
) PARTITION BY RANGE (id);
CREATE TABLE pgw.recon_matches_default PARTITION OF pgw.recon_matches DEFAULT;
CREATE INDEX ON pgw.recon_matches (run_id, id);
CREATE INDEX ON pgw.recon_matches (partner_id, mode, gateway_accepted_at) WHERE off_day;

-- What does not agree. An item keeps its row, and so its id, from the day it is found until it is cleared, and when it comes back.
CREATE TABLE pgw.recon_exceptions (
    id                  text COLLATE "C" PRIMARY KEY CHECK (id LIKE 'rx\_%'),
    partner_id          text COLLATE "C" NOT NULL,
    mode                text NOT NULL,
    provider            text NOT NULL,
    contract_id         text NOT NULL,
    -- What the item is, within the contract: an item has one row.
    item                text NOT NULL,
    kind                text NOT NULL CHECK (kind IN ('missing_at_provider', 'missing_at_gateway', 'amount_differs', 'currency_differs',
                            'status_differs', 'duplicate_at_provider', 'refund_without_charge', 'unparsable')),
    status              text NOT NULL CHECK (status IN ('open', 'cleared')),
    entry               text CHECK (entry IN ('charge', 'refund')),
    gateway_id          text COLLATE "C",
    payment_intent_id   text COLLATE "C",
    gateway_status      text,
    gateway_amount      bigint,
    gateway_currency    text,
    gateway_accepted_at timestamptz,
    provider_payment_id text,
    reference           text,
    provider_store_id   text,
    provider_outcome    text CHECK (provider_outcome IN ('completed', 'failed')),
    provider_amount     bigint,
    provider_currency   text,
    line_day            date,
    line_number         integer,
    line_accepted_at    timestamptz,
    reason              text NOT NULL,
    -- Minor unit: the money in question, never negative. Severity and due time follow from it and from the age.
    at_stake            bigint NOT NULL CHECK (at_stake >= 0),
    occurred_at         timestamptz NOT NULL,
    opened_day          date NOT NULL,
    opened_run_id       text COLLATE "C" NOT NULL,
    cleared_day         date,
    cleared_run_id      text COLLATE "C",
    cleared_by          text CHECK (cleared_by IN ('late', 'matched', 'agreed', 'superseded')),
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    UNIQUE (partner_id, mode, provider, contract_id, item),
    CHECK ((status = 'cleared') = (cleared_by IS NOT NULL))
);
CREATE INDEX ON pgw.recon_exceptions (partner_id, mode, provider, contract_id, opened_day) WHERE status = 'open';
CREATE INDEX ON pgw.recon_exceptions (partner_id, mode, id);

-- What each version did to the open items: open(after) = open(before) + opened - cleared is counted here.
CREATE TABLE pgw.recon_movements (
    run_id       text COLLATE "C" NOT NULL REFERENCES pgw.recon_runs,
    version      integer NOT NULL,
    exception_id text COLLATE "C" NOT NULL REFERENCES pgw.recon_exceptions,
    movement     text NOT NULL CHECK (movement IN ('opened', 'cleared')),
    partner_id   text COLLATE "C" NOT NULL,
    mode         text NOT NULL,
    PRIMARY KEY (run_id, version, exception_id, movement)
);

-- The rows of a version's report that are not matches, as they were found.
CREATE TABLE pgw.recon_findings (
    run_id     text COLLATE "C" NOT NULL,
    version    integer NOT NULL,
    number     integer NOT NULL,
    partner_id text COLLATE "C" NOT NULL,
    mode       text NOT NULL,
    -- found: by this version's inputs; late: settled by them; carried: open from earlier days; cleared: no longer open.
    section    text NOT NULL CHECK (section IN ('found', 'late', 'carried', 'cleared')),
    kind       text NOT NULL,
    finding    json NOT NULL,
    PRIMARY KEY (run_id, version, number)
);

-- Everything done, for ever. Each entry holds the hash of the one before it; `matcher audit verify` proves that none was changed or
-- taken out.
CREATE TABLE pgw.recon_audit (
    partner_id text COLLATE "C" NOT NULL,
    mode       text NOT NULL,
    number     bigint NOT NULL CHECK (number > 0),
    at         timestamptz NOT NULL,
    actor_id   text NOT NULL,
    actor_name text NOT NULL,
    actor_role text NOT NULL,
    action     text NOT NULL,
    subject    text NOT NULL,
    -- JSON as it was hashed, byte for byte.
    detail     text NOT NULL,
    previous   bytea NOT NULL CHECK (length(previous) = 32),
    hash       bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (partner_id, mode, number)
);
-- The last entry of each chain: writers queue here, and an entry missing at the end shows.
CREATE TABLE pgw.recon_audit_heads (
    partner_id text COLLATE "C" NOT NULL,
    mode       text NOT NULL CHECK (mode IN ('test', 'live')),
    number     bigint NOT NULL,
    hash       bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (partner_id, mode)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON pgw.recon_audit FOR EACH ROW EXECUTE FUNCTION pgw.append_only();
CREATE TRIGGER never_truncate BEFORE TRUNCATE ON pgw.recon_audit EXECUTE FUNCTION pgw.append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON pgw.recon_results FOR EACH ROW EXECUTE FUNCTION pgw.append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON pgw.recon_findings FOR EACH ROW EXECUTE FUNCTION pgw.append_only();

-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['recon_runs', 'recon_files', 'recon_results', 'recon_matches', 'recon_exceptions', 'recon_findings',
        'recon_movements', 'recon_audit', 'recon_audit_heads'] LOOP
        EXECUTE format('ALTER TABLE pgw.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE pgw.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON pgw.%I USING (pgw.visible(partner_id, mode))', name);
        EXECUTE format('GRANT SELECT ON pgw.%I TO pgw_backend, matcher', name);
    END LOOP;
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO matcher', current_database());
END
$$;
-- +goose StatementEnd
SELECT pgw.partition_guard('recon_matches_default');

GRANT INSERT, UPDATE ON pgw.recon_runs, pgw.recon_matches, pgw.recon_exceptions, pgw.recon_audit_heads TO matcher;
GRANT INSERT ON pgw.recon_files, pgw.recon_results, pgw.recon_findings, pgw.recon_movements, pgw.recon_audit TO matcher;

-- What it holds against the provider's lines. It raises an intent's version when it tells that the intent is reconciled, and
-- changes nothing else of it.
GRANT SELECT ON pgw.payment_intents, pgw.payment_attempts, pgw.refunds TO matcher;
GRANT UPDATE (version, updated_at) ON pgw.payment_intents TO matcher;

-- Matches are kept as long as the payments.
SELECT set_config('mpac.cross_tenant', 'migration', true);
INSERT INTO pgw.partitioned_tables (table_name, id_column, id_prefix, retain_days) VALUES ('recon_matches', 'id', 'rm', NULL);
SELECT pgw.partition_make(w.table_name, w.day) FROM pgw.partition_work(now(), 1) w WHERE w.action = 'make';
