-- +goose Up
-- What a person has to find out, in one place: attempts and refunds that no provider's answer has settled in time, or that it named
-- another amount of. An attempt that is over counts when the provider's word about it came afterwards and was not believed.
CREATE VIEW pgw.operator_items WITH (security_invoker = true) AS
SELECT 'attempt' AS kind, a.id, a.payment_intent_id, a.partner_id, a.mode, a.merchant_id, a.merchant_store_id, a.provider, a.contract_id,
    a.status, a.operator_at, coalesce(a.capture_amount, a.amount) AS amount, a.currency, a.provider_payment_id, a.cancel_sent_at,
    false AS must_return, a.created_at
FROM pgw.payment_attempts a
WHERE a.operator_at IS NOT NULL
  AND (a.status NOT IN ('succeeded', 'failed') OR (a.status = 'failed' AND a.late_success_at IS NULL AND a.operator_at >= a.status_since))
UNION ALL
SELECT 'refund', r.id, r.payment_intent_id, r.partner_id, r.mode, r.merchant_id, coalesce(r.merchant_store_id, ''), coalesce(r.provider, ''),
    coalesce(r.contract_id, ''), r.status, r.operator_at, r.amount, r.currency, NULL, NULL, r.kind = 'return', r.created_at
FROM pgw.refunds r
WHERE r.operator_at IS NOT NULL AND r.due_at IS NOT NULL AND r.status = 'processing';
-- Few rows, ever. On a partitioned table that is large already, make the same index CONCURRENTLY on each partition first: this then
-- takes them over.
CREATE INDEX payment_attempts_operator ON pgw.payment_attempts (operator_at) WHERE operator_at IS NOT NULL;

-- What one person proposes about such an item, with evidence, and another person approves or rejects. Kept for ever.
CREATE TABLE pgw.resolutions (
    id                  TEXT COLLATE "C" PRIMARY KEY CHECK (id LIKE 'rs\_%'),
    partner_id          TEXT COLLATE "C" NOT NULL,
    mode                TEXT NOT NULL CHECK (mode IN ('test', 'live')),
    kind                TEXT NOT NULL CHECK (kind IN ('attempt', 'refund')),
    -- The attempt's or the refund's id.
    item_id             TEXT COLLATE "C" NOT NULL,
    payment_intent_id   TEXT COLLATE "C" NOT NULL,
    provider            TEXT NOT NULL,
    outcome             TEXT NOT NULL CHECK (outcome IN ('succeeded', 'failed')),
    -- What it is about, minor unit; of a success, what the evidence says too.
    amount              BIGINT NOT NULL CHECK (amount > 0),
    currency            TEXT NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    -- The provider's own ids, and its time of the success.
    provider_payment_id TEXT CHECK (provider_payment_id <> ''),
    provider_refund_id  TEXT CHECK (provider_refund_id <> ''),
    accepted_at         TIMESTAMPTZ,
    -- The provider's ticket or the reading of its portal; when it was given or read, and by whom.
    evidence            TEXT NOT NULL CHECK (evidence <> ''),
    evidence_at         TIMESTAMPTZ NOT NULL,
    evidence_from       TEXT NOT NULL CHECK (evidence_from <> ''),
    -- superseded: when it was to be approved, the provider's answer had settled it already.
    state               TEXT NOT NULL CHECK (state IN ('proposed', 'approved', 'rejected', 'superseded')),
    -- Persons by their address at work, lower case; the name is for readers, the origin is where the command ran.
    proposed_by         TEXT NOT NULL CHECK (proposed_by <> '' AND proposed_by = lower(proposed_by)),
    proposed_by_name    TEXT NOT NULL CHECK (proposed_by_name <> ''),
    proposed_from       TEXT NOT NULL,
    proposed_at         TIMESTAMPTZ NOT NULL,
    decided_by          TEXT CHECK (decided_by <> '' AND decided_by = lower(decided_by)),
    decided_by_name     TEXT CHECK (decided_by_name <> ''),
    decided_from        TEXT,
    decided_at          TIMESTAMPTZ,
    note                TEXT,
    -- How the item stood after the decision: its status, and its PaymentIntent's.
    item_status         TEXT,
    intent_status       TEXT,
    CONSTRAINT resolutions_two_persons CHECK (decided_by <> proposed_by),
    CHECK ((state = 'proposed') = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_by_name IS NULL)
        AND (decided_by IS NULL) = (decided_from IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL)),
    CHECK ((outcome = 'succeeded') = (accepted_at IS NOT NULL)),
    CHECK ((kind = 'attempt' AND outcome = 'succeeded') = (provider_payment_id IS NOT NULL)),
    CHECK (provider_refund_id IS NULL OR (kind = 'refund' AND outcome = 'succeeded')),
    CHECK (state <> 'rejected' OR note <> '')
);
-- One proposal an item at a time; what the provider calls a payment or refund is one of ours only.
CREATE UNIQUE INDEX resolutions_one_open ON pgw.resolutions (item_id) WHERE state = 'proposed';
CREATE UNIQUE INDEX resolutions_provider_payment ON pgw.resolutions (provider, mode, provider_payment_id) WHERE state IN ('proposed', 'approved');
CREATE UNIQUE INDEX resolutions_provider_refund ON pgw.resolutions (provider, mode, provider_refund_id) WHERE state IN ('proposed', 'approved');
CREATE INDEX ON pgw.resolutions (item_id);

-- +goose StatementBegin
-- A proposal is decided once, and nothing else of it ever changes.
CREATE FUNCTION pgw.guard_resolution() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'proposed' THEN
            RAISE EXCEPTION 'resolution %: it begins as a proposal', NEW.id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'resolutions_begin';
        END IF;
        RETURN NEW;
    END IF;
    IF TG_OP <> 'UPDATE' THEN
        RAISE EXCEPTION 'resolutions are kept for ever' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF OLD.state <> 'proposed' OR NEW.state = 'proposed' THEN
        RAISE EXCEPTION 'resolution %: it is % and decided once', OLD.id, OLD.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'resolutions_decided_once';
    END IF;
    IF (NEW.id, NEW.partner_id, NEW.mode, NEW.kind, NEW.item_id, NEW.payment_intent_id, NEW.provider, NEW.outcome, NEW.amount, NEW.currency,
            NEW.evidence, NEW.evidence_at, NEW.evidence_from, NEW.proposed_by, NEW.proposed_by_name, NEW.proposed_from, NEW.proposed_at)
        IS DISTINCT FROM (OLD.id, OLD.partner_id, OLD.mode, OLD.kind, OLD.item_id, OLD.payment_intent_id, OLD.provider, OLD.outcome, OLD.amount,
            OLD.currency, OLD.evidence, OLD.evidence_at, OLD.evidence_from, OLD.proposed_by, OLD.proposed_by_name, OLD.proposed_from, OLD.proposed_at)
        OR (NEW.provider_payment_id, NEW.provider_refund_id, NEW.accepted_at)
        IS DISTINCT FROM (OLD.provider_payment_id, OLD.provider_refund_id, OLD.accepted_at) THEN
        RAISE EXCEPTION 'resolution %: what was proposed does not change', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'resolutions_immutable';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON pgw.resolutions FOR EACH ROW EXECUTE FUNCTION pgw.guard_resolution();
CREATE TRIGGER never_truncate BEFORE TRUNCATE ON pgw.resolutions EXECUTE FUNCTION pgw.guard_resolution();

ALTER TABLE pgw.resolutions ENABLE ROW LEVEL SECURITY;
ALTER TABLE pgw.resolutions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON pgw.resolutions USING (pgw.visible(partner_id, mode));
GRANT SELECT, INSERT, UPDATE ON pgw.resolutions TO pgw_backend;
GRANT SELECT ON pgw.operator_items TO pgw_backend;
