-- +goose Up
-- The ledger: double entry, append-only. A transaction is the lines that carry its id; debits are positive, credits negative, and
-- they come to zero per currency. There is no balance row: a balance is a sum over an index.

-- Makes (kind, reference) unique for ever, which range-partitioned lines cannot, and says how many lines belong to it: nothing
-- can be added to a transaction afterwards.
CREATE TABLE pgw.ledger_references (
    partner_id     text NOT NULL,
    mode           text NOT NULL CHECK (mode IN ('test', 'live')),
    kind           text NOT NULL,
    reference      text NOT NULL CHECK (reference <> ''),
    transaction_id text COLLATE "C" NOT NULL,
    lines          smallint NOT NULL CHECK (lines >= 2),
    PRIMARY KEY (partner_id, mode, kind, reference)
);

CREATE TABLE pgw.ledger_lines (
    transaction_id    text COLLATE "C" NOT NULL,
    line              smallint NOT NULL CHECK (line > 0),
    partner_id        text NOT NULL,
    mode              text NOT NULL CHECK (mode IN ('test', 'live')),
    kind              text NOT NULL CHECK (kind IN (
        'captured', 'refunded', 'reversed', 'late_success', 'late_returned', 'cash_taken', 'cash_refunded', 'card_recorded', 'card_refunded',
        'fee', 'payout', 'write_off', 'adjustment')),
    reference         text NOT NULL,
    account           text NOT NULL CHECK (account IN (
        'provider_receivable', 'merchant_payable', 'fee', 'tax_on_fee', 'payout_clearing', 'suspense', 'write_off',
        'memo_cash', 'memo_cash_offset', 'memo_card', 'memo_card_offset')),
    -- Minor unit; a debit is positive, a credit negative.
    amount            bigint NOT NULL CHECK (amount <> 0),
    currency          text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    provider          text NOT NULL DEFAULT '',
    contract_id       text NOT NULL DEFAULT '',
    provider_store_id text NOT NULL DEFAULT '',
    merchant_id       text NOT NULL,
    merchant_store_id text NOT NULL DEFAULT '',
    payment_intent_id text COLLATE "C" NOT NULL DEFAULT '',
    attempt_id        text COLLATE "C" NOT NULL DEFAULT '',
    refund_id         text COLLATE "C" NOT NULL DEFAULT '',
    -- When the money moved, by the provider's or the till's word.
    occurred_at       timestamptz NOT NULL,
    created_at        timestamptz NOT NULL,
    PRIMARY KEY (transaction_id, line)
) PARTITION BY RANGE (transaction_id);
CREATE TABLE pgw.ledger_lines_default PARTITION OF pgw.ledger_lines DEFAULT;

-- What a provider owes for a store, in one range of this index.
CREATE INDEX ledger_lines_balance ON pgw.ledger_lines
    (partner_id, mode, account, provider, contract_id, provider_store_id, currency, occurred_at) INCLUDE (amount);
CREATE INDEX ledger_lines_intent ON pgw.ledger_lines (payment_intent_id) WHERE payment_intent_id <> '';

-- +goose StatementBegin
-- Runs at commit, when all lines are there.
CREATE FUNCTION pgw.ledger_balanced() RETURNS trigger LANGUAGE plpgsql
AS $$
DECLARE
    promised integer;
    found    integer;
    off      text;
BEGIN
    SELECT r.lines INTO promised FROM pgw.ledger_references r
    WHERE r.partner_id = NEW.partner_id AND r.mode = NEW.mode AND r.kind = NEW.kind AND r.reference = NEW.reference
      AND r.transaction_id = NEW.transaction_id;
    SELECT count(*) INTO found FROM pgw.ledger_lines l WHERE l.transaction_id = NEW.transaction_id;
    IF promised IS NULL OR promised <> found THEN
        RAISE EXCEPTION 'ledger transaction % has % lines, its reference says %', NEW.transaction_id, found, promised
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_lines_complete';
    END IF;
    SELECT l.currency INTO off FROM pgw.ledger_lines l WHERE l.transaction_id = NEW.transaction_id
    GROUP BY l.currency HAVING sum(l.amount) <> 0 LIMIT 1;
    IF off IS NOT NULL THEN
        RAISE EXCEPTION 'ledger transaction % does not come to zero in %', NEW.transaction_id, off
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_lines_balanced';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE CONSTRAINT TRIGGER ledger_lines_balanced AFTER INSERT ON pgw.ledger_lines
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pgw.ledger_balanced();

-- +goose StatementBegin
-- A reference without its lines would keep the real posting out for ever.
CREATE FUNCTION pgw.ledger_reference_posted() RETURNS trigger LANGUAGE plpgsql
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pgw.ledger_lines l WHERE l.transaction_id = NEW.transaction_id) THEN
        RAISE EXCEPTION 'ledger reference % % has no lines', NEW.kind, NEW.reference
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_references_posted';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE CONSTRAINT TRIGGER ledger_references_posted AFTER INSERT ON pgw.ledger_references
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pgw.ledger_reference_posted();

-- +goose StatementBegin
CREATE FUNCTION pgw.append_only() RETURNS trigger LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: post a correction', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON pgw.ledger_lines FOR EACH ROW EXECUTE FUNCTION pgw.append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON pgw.ledger_references FOR EACH ROW EXECUTE FUNCTION pgw.append_only();
CREATE TRIGGER never_truncate BEFORE TRUNCATE ON pgw.ledger_lines EXECUTE FUNCTION pgw.append_only();
CREATE TRIGGER never_truncate BEFORE TRUNCATE ON pgw.ledger_references EXECUTE FUNCTION pgw.append_only();

ALTER TABLE pgw.ledger_references ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgw.ledger_references FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON pgw.ledger_references USING (pgw.visible(partner_id, mode));
ALTER TABLE pgw.ledger_lines ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgw.ledger_lines FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON pgw.ledger_lines USING (pgw.visible(partner_id, mode));
SELECT pgw.partition_guard('ledger_lines_default');

-- The owner obeys row-level security too.
SELECT set_config('mpac.cross_tenant', 'migration', true);
-- Books are kept for ever.
INSERT INTO pgw.partitioned_tables (table_name, id_column, id_prefix, retain_days) VALUES ('ledger_lines', 'transaction_id', 'lt', NULL);

GRANT SELECT, INSERT ON pgw.ledger_references, pgw.ledger_lines TO pgw_backend, matcher;
