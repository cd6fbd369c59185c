-- +goose Up
-- The entity of one attempt at money. Large, so partitioned by id from the start: a ULID carries its time, and COLLATE "C"
-- makes text order byte order. There are no foreign keys between partitioned tables: an old month must detach without
-- asking each of its neighbours; the writes are in one transaction instead.
CREATE TABLE pgw.payment_intents (
    id                   TEXT COLLATE "C" PRIMARY KEY CHECK (id LIKE 'pi\_%'),
    partner_id           TEXT COLLATE "C" NOT NULL,
    mode                 TEXT NOT NULL CHECK (mode IN ('test', 'live')),
    merchant_id          TEXT NOT NULL,
    merchant_store_id    TEXT,
    merchant_terminal_id TEXT,
    merchant_ref_id      TEXT NOT NULL,
    status               TEXT NOT NULL CHECK (status IN ('requires_payment_method', 'requires_action', 'processing',
                             'requires_capture', 'succeeded', 'failed', 'cancelled')),
    -- Ascends with each change that an event tells; a writer names the one it saw.
    version              INTEGER NOT NULL CHECK (version >= 1),
    -- Minor unit.
    amount               BIGINT NOT NULL CHECK (amount > 0),
    currency             TEXT NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    captured_amount      BIGINT NOT NULL DEFAULT 0,
    -- What refunds have given back, and what all refunds that have not failed may give back.
    refunded_amount      BIGINT NOT NULL DEFAULT 0,
    refund_reserved      BIGINT NOT NULL DEFAULT 0,
    payment_method_types TEXT[] NOT NULL,
    payment_method_type  TEXT CHECK (payment_method_type IN ('qr_mpm', 'qr_cpm', 'card', 'e_money', 'cash')),
    processing_mode      TEXT CHECK (processing_mode IN ('pgw_processed', 'external', 'manual')),
    provider             TEXT,
    capture_method       TEXT NOT NULL CHECK (capture_method IN ('automatic', 'manual')),
    description          TEXT,
    metadata             JSONB NOT NULL DEFAULT '{}',
    -- The attempt at a provider that is going on, and the newest one. One live attempt an intent: there is one column.
    live_attempt_id      TEXT COLLATE "C",
    latest_attempt_id    TEXT COLLATE "C",
    provider_payment_id  TEXT,
    qr_content           TEXT,
    qr_code_url          TEXT,
    qr_expires_at        TIMESTAMPTZ,
    cash_tendered        BIGINT,
    card                 JSONB,
    failure_code         TEXT,
    failure_message      TEXT,
    cancellation_reason  TEXT,
    cancel_requested_at  TIMESTAMPTZ,
    occurred_at          TIMESTAMPTZ,
    expires_at           TIMESTAMPTZ NOT NULL,
    created_at           TIMESTAMPTZ NOT NULL,
    updated_at           TIMESTAMPTZ NOT NULL,
    succeeded_at         TIMESTAMPTZ,
    finalized_at         TIMESTAMPTZ,
    -- SHA-256 of each payment token; the token is nowhere.
    token_hashes         BYTEA[] NOT NULL DEFAULT '{}',
    -- When the sweep has to look at it next: a check that is due, the expiry, or the end of the lease of whoever works on
    -- it just now. NULL when nothing is left to do.
    due_at               TIMESTAMPTZ,
    CHECK (captured_amount BETWEEN 0 AND amount),
    CHECK (refunded_amount BETWEEN 0 AND refund_reserved),
    CONSTRAINT payment_intents_refund_within_capture CHECK (refund_reserved <= captured_amount),
    CHECK ((status IN ('succeeded', 'failed', 'cancelled')) = (finalized_at IS NOT NULL)),
    CHECK ((status = 'succeeded') = (succeeded_at IS NOT NULL)),
    CHECK (status NOT IN ('succeeded', 'failed', 'cancelled') OR live_attempt_id IS NULL),
    CHECK (live_attempt_id IS NULL OR due_at IS NOT NULL),
    CHECK (cash_tendered IS NULL OR cash_tendered >= amount)
) PARTITION BY RANGE (id);
-- Keeps an id of any time; the partitions that the partitions' job makes ahead keep it empty.
CREATE TABLE pgw.payment_intents_default PARTITION OF pgw.payment_intents DEFAULT;
CREATE INDEX ON pgw.payment_intents (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX ON pgw.payment_intents (partner_id, mode, id);
CREATE INDEX ON pgw.payment_intents (partner_id, mode, updated_at);

-- The one live attempt, the edges of the state machine and the version, held by the database whatever the code does. The
-- same table of edges is data in package intent; a test compares the two.
-- +goose StatementBegin
CREATE FUNCTION pgw.guard_intent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
        ('requires_payment_method', 'requires_action'), ('requires_payment_method', 'processing'),
        ('requires_payment_method', 'succeeded'), ('requires_payment_method', 'failed'),
        ('requires_payment_method', 'cancelled'),
        ('requires_action', 'processing'), ('requires_action', 'requires_capture'), ('requires_action', 'succeeded'),
        ('requires_action', 'failed'), ('requires_action', 'cancelled'),
        ('processing', 'requires_action'), ('processing', 'requires_capture'), ('processing', 'succeeded'),
        ('processing', 'failed'),
        ('requires_capture', 'processing'), ('requires_capture', 'succeeded'), ('requires_capture', 'failed'),
        ('requires_capture', 'cancelled')) THEN
        RAISE EXCEPTION 'payment intent %: % -> % is not an edge', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_intents_edge';
    END IF;
    IF OLD.status = 'requires_payment_method' AND NEW.status = 'succeeded'
        AND NEW.processing_mode IS DISTINCT FROM 'external' AND NEW.processing_mode IS DISTINCT FROM 'manual' THEN
        RAISE EXCEPTION 'payment intent %: succeeds at once only when external or manual', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_intents_edge';
    END IF;
    IF NEW.status = 'requires_capture' AND NEW.capture_method <> 'manual' THEN
        RAISE EXCEPTION 'payment intent %: requires_capture is for manual capture', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_intents_edge';
    END IF;
    IF NEW.version < OLD.version OR (NEW.version = OLD.version AND NEW.status <> OLD.status) THEN
        RAISE EXCEPTION 'payment intent %: version % -> %', OLD.id, OLD.version, NEW.version
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_intents_version';
    END IF;
    IF OLD.live_attempt_id IS NOT NULL AND NEW.live_attempt_id IS NOT NULL AND OLD.live_attempt_id <> NEW.live_attempt_id THEN
        RAISE EXCEPTION 'payment intent %: has a live attempt', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_intents_one_live_attempt';
    END IF;
    IF (NEW.id, NEW.partner_id, NEW.mode, NEW.merchant_id, NEW.merchant_ref_id, NEW.amount, NEW.currency, NEW.created_at)
        <> (OLD.id, OLD.partner_id, OLD.mode, OLD.merchant_id, OLD.merchant_ref_id, OLD.amount, OLD.currency, OLD.created_at)
        OR NEW.merchant_store_id IS DISTINCT FROM OLD.merchant_store_id THEN
        RAISE EXCEPTION 'payment intent %: what it is for does not change', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_intents_immutable';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER guard BEFORE UPDATE ON pgw.payment_intents FOR EACH ROW EXECUTE FUNCTION pgw.guard_intent();

-- The caller's reference of a payment, unique per merchant for ever: small, never partitioned, never cleaned.
CREATE TABLE pgw.merchant_refs (
    partner_id        TEXT COLLATE "C" NOT NULL,
    mode              TEXT NOT NULL,
    merchant_id       TEXT NOT NULL,
    merchant_ref_id   TEXT NOT NULL,
    payment_intent_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (partner_id, mode, merchant_id, merchant_ref_id)
);

-- Each try at a provider, committed before the first call. The provider sees the id as its own key.
CREATE TABLE pgw.payment_attempts (
    id                   TEXT COLLATE "C" PRIMARY KEY CHECK (id LIKE 'pa\_%'),
    payment_intent_id    TEXT COLLATE "C" NOT NULL,
    partner_id           TEXT COLLATE "C" NOT NULL,
    mode                 TEXT NOT NULL,
    merchant_id          TEXT NOT NULL,
    merchant_store_id    TEXT NOT NULL,
    provider             TEXT NOT NULL,
    -- The provider's name for the merchant, and for the store: which books it will stand in.
    contract_id          TEXT NOT NULL,
    provider_store_id    TEXT NOT NULL,
    payment_method_type  TEXT NOT NULL CHECK (payment_method_type IN ('qr_mpm', 'qr_cpm')),
    -- creating: the code was asked for; charging: the customer's code was sent; waiting: the code is shown; authorized: the
    -- money is held; capturing: it is being taken; ending: it is made sure that nothing comes any more.
    status               TEXT NOT NULL CHECK (status IN ('creating', 'charging', 'waiting', 'authorized', 'capturing', 'ending',
                             'succeeded', 'failed')),
    -- Since when it has this status: the windows of the chase count from here.
    status_since         TIMESTAMPTZ NOT NULL,
    amount               BIGINT NOT NULL CHECK (amount > 0),
    currency             TEXT NOT NULL,
    captured_amount      BIGINT NOT NULL DEFAULT 0 CHECK (captured_amount BETWEEN 0 AND amount),
    capture_later        BOOLEAN NOT NULL DEFAULT false,
    code_id              TEXT,
    code_expires_at      TIMESTAMPTZ,
    provider_payment_id  TEXT,
    -- The provider's time of the success or failure it told, else ours of learning it.
    provider_accepted_at TIMESTAMPTZ,
    authorized_at        TIMESTAMPTZ,
    -- What the end has reached: the code is gone; a cancel was sent (committed before the call: from then on a success is
    -- not believed any more, the provider may be about to take it back), accepted, or refused for good.
    code_deleted_at      TIMESTAMPTZ,
    cancel_sent_at       TIMESTAMPTZ,
    cancel_accepted_at   TIMESTAMPTZ,
    cancel_refused_at    TIMESTAMPTZ,
    -- What is being captured, and how often that was sent: each try has an id of its own.
    capture_amount       BIGINT,
    capture_tries        INTEGER NOT NULL DEFAULT 0,
    asks                 INTEGER NOT NULL DEFAULT 0,
    -- No certain answer for a day: a person has to find out.
    operator_at          TIMESTAMPTZ,
    failure_code         TEXT,
    failure_message      TEXT,
    -- A success for an intent that was already final: booked to suspense and returned.
    late_success_at      TIMESTAMPTZ,
    -- The idempotency keys whose answers wait for this attempt: of confirm, and of the capture or cancel after it.
    confirm_key_id       TEXT COLLATE "C",
    second_key_id        TEXT COLLATE "C",
    created_at           TIMESTAMPTZ NOT NULL,
    updated_at           TIMESTAMPTZ NOT NULL,
    CHECK (status <> 'succeeded' OR (provider_accepted_at IS NOT NULL AND captured_amount > 0)),
    CHECK (late_success_at IS NULL OR (status = 'failed' AND captured_amount > 0))
) PARTITION BY RANGE (id);
CREATE TABLE pgw.payment_attempts_default PARTITION OF pgw.payment_attempts DEFAULT;
CREATE INDEX ON pgw.payment_attempts (payment_intent_id);
CREATE INDEX ON pgw.payment_attempts (provider, provider_payment_id) WHERE provider_payment_id IS NOT NULL;
CREATE INDEX ON pgw.payment_attempts (provider, contract_id, provider_accepted_at) WHERE provider_accepted_at IS NOT NULL;

-- +goose StatementBegin
CREATE FUNCTION pgw.guard_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> OLD.status AND OLD.status IN ('succeeded', 'failed') THEN
        RAISE EXCEPTION 'payment attempt %: % is final', OLD.id, OLD.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_attempts_edge';
    END IF;
    IF OLD.late_success_at IS NOT NULL AND NEW.late_success_at IS DISTINCT FROM OLD.late_success_at THEN
        RAISE EXCEPTION 'payment attempt %: its late success is booked', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_attempts_late_once';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER guard BEFORE UPDATE ON pgw.payment_attempts FOR EACH ROW EXECUTE FUNCTION pgw.guard_attempt();

-- Money given back. kind 'refund' is asked for by the partner and counts against the capture; kind 'return' is pgw's own
-- handing back of a late success, and does not.
CREATE TABLE pgw.refunds (
    id                     TEXT COLLATE "C" PRIMARY KEY CHECK (id LIKE 're\_%'),
    kind                   TEXT NOT NULL CHECK (kind IN ('refund', 'return')),
    partner_id             TEXT COLLATE "C" NOT NULL,
    mode                   TEXT NOT NULL CHECK (mode IN ('test', 'live')),
    merchant_id            TEXT NOT NULL,
    merchant_store_id      TEXT,
    payment_intent_id      TEXT COLLATE "C" NOT NULL,
    -- NULL for cash and for what an app on the terminal took.
    attempt_id             TEXT COLLATE "C",
    provider               TEXT,
    contract_id            TEXT,
    merchant_refund_ref_id TEXT,
    amount                 BIGINT NOT NULL CHECK (amount > 0),
    currency               TEXT NOT NULL,
    status                 TEXT NOT NULL CHECK (status IN ('pending', 'processing', 'succeeded', 'failed')),
    status_since           TIMESTAMPTZ NOT NULL,
    version                INTEGER NOT NULL CHECK (version >= 1),
    reason                 TEXT,
    failure_code           TEXT,
    failure_message        TEXT,
    provider_refund_id     TEXT,
    provider_accepted_at   TIMESTAMPTZ,
    asks                   INTEGER NOT NULL DEFAULT 0,
    operator_at            TIMESTAMPTZ,
    key_id                 TEXT COLLATE "C",
    occurred_at            TIMESTAMPTZ,
    created_at             TIMESTAMPTZ NOT NULL,
    updated_at             TIMESTAMPTZ NOT NULL,
    due_at                 TIMESTAMPTZ,
    CHECK ((kind = 'refund') = (merchant_refund_ref_id IS NOT NULL)),
    CHECK (kind = 'refund' OR attempt_id IS NOT NULL),
    CHECK ((status IN ('pending', 'processing')) = (due_at IS NOT NULL)),
    CHECK (status <> 'succeeded' OR provider IS NULL OR provider_accepted_at IS NOT NULL)
);
CREATE INDEX ON pgw.refunds (payment_intent_id);
CREATE INDEX ON pgw.refunds (partner_id, mode, id);
CREATE INDEX ON pgw.refunds (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX ON pgw.refunds (provider, contract_id, provider_accepted_at) WHERE provider_accepted_at IS NOT NULL;
-- A late success is returned once. (A return that failed is tried again under the same id.)
CREATE UNIQUE INDEX refunds_one_return ON pgw.refunds (attempt_id) WHERE kind = 'return';

-- +goose StatementBegin
CREATE FUNCTION pgw.guard_refund() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
        ('pending', 'processing'), ('processing', 'succeeded'), ('processing', 'failed')) THEN
        RAISE EXCEPTION 'refund %: % -> % is not an edge', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'refunds_edge';
    END IF;
    IF NEW.amount <> OLD.amount OR NEW.payment_intent_id <> OLD.payment_intent_id OR NEW.kind <> OLD.kind THEN
        RAISE EXCEPTION 'refund %: what it is for does not change', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'refunds_immutable';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER guard BEFORE UPDATE ON pgw.refunds FOR EACH ROW EXECUTE FUNCTION pgw.guard_refund();

CREATE TABLE pgw.merchant_refund_refs (
    partner_id             TEXT COLLATE "C" NOT NULL,
    mode                   TEXT NOT NULL,
    merchant_id            TEXT NOT NULL,
    merchant_refund_ref_id TEXT NOT NULL,
    refund_id              TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (partner_id, mode, merchant_id, merchant_refund_ref_id)
);

-- +goose StatementBegin
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['payment_intents', 'payment_intents_default', 'merchant_refs', 'payment_attempts',
        'payment_attempts_default', 'refunds', 'merchant_refund_refs'] LOOP
        EXECUTE format('ALTER TABLE pgw.%I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE pgw.%I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON pgw.%I USING (pgw.visible(partner_id, mode))', t);
    END LOOP;
END
$$;
-- +goose StatementEnd
GRANT SELECT, INSERT, UPDATE ON pgw.payment_intents, pgw.payment_attempts, pgw.refunds TO pgw_backend;
GRANT SELECT, INSERT ON pgw.merchant_refs, pgw.merchant_refund_refs TO pgw_backend;
