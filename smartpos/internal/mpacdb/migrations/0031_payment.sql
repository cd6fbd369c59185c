-- +goose Up

-- One attempt at money for a bill or a part of one. From pending on it holds its amount reserved there.
CREATE TABLE smarttab.payment (
    id               uuid NOT NULL PRIMARY KEY,
    merchant_id      uuid NOT NULL,
    store_id         uuid NOT NULL,
    bill_id          uuid NOT NULL,
    split_id         uuid,
    method           text NOT NULL CHECK (method IN ('cash', 'qr', 'card')),
    provider         text,
    status           text NOT NULL
                     CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'cancelled', 'refunded')),
    version          integer NOT NULL CHECK (version > 0),
    currency         text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount           bigint NOT NULL CHECK (amount > 0),
    -- Given back; and on its way back. Refunds that failed count in neither.
    refunded_amount  bigint NOT NULL DEFAULT 0 CHECK (refunded_amount >= 0),
    refunding_amount bigint NOT NULL DEFAULT 0 CHECK (refunding_amount >= 0),
    tendered         bigint,
    change           bigint,
    -- What the terminal's card application said; never a card number.
    card             jsonb,
    failure_code     text,
    failure_message  text,
    -- The payment gateway's PaymentIntent, and the newest of its versions that was applied here.
    intent_id        text,
    intent_version   bigint NOT NULL DEFAULT 0,
    expires_at       timestamptz,
    -- Who takes it. The gateway's token for it goes to the terminal that made it and to nobody else.
    actor_kind       text NOT NULL CHECK (actor_kind IN ('user', 'device', 'system')),
    actor_ref        text NOT NULL,
    -- Its part of the bill's taxes and discounts; set when it completes.
    tax_lines        jsonb,
    discount         bigint,
    settlement_id    uuid REFERENCES smarttab.settlement (id),
    receipt_number   text,
    occurred_at      timestamptz NOT NULL,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    completed_at     timestamptz,
    ended_at         timestamptz,
    cancel_requested_at timestamptz,
    -- The gateway was paid after this payment had ended, and returns the money by itself.
    late_success_at  timestamptz,
    reconciled_at    timestamptz,
    -- Cash and cards: the gateway has heard of it.
    reported_at      timestamptz,
    CONSTRAINT payment_refunds CHECK (refunded_amount <= amount - refunding_amount),
    CONSTRAINT payment_refunded CHECK ((status = 'refunded') = (refunded_amount = amount)),
    CONSTRAINT payment_completed CHECK (
        (status IN ('completed', 'refunded'))
        = (completed_at IS NOT NULL AND settlement_id IS NOT NULL AND tax_lines IS NOT NULL AND discount IS NOT NULL)),
    CONSTRAINT payment_ended CHECK ((status IN ('pending', 'processing')) = (ended_at IS NULL)),
    CONSTRAINT payment_cash CHECK ((method = 'cash') = (tendered IS NOT NULL AND change IS NOT NULL)
                                   AND (method <> 'cash' OR (change >= 0 AND tendered - change = amount))),
    CONSTRAINT payment_provider CHECK ((method = 'qr') = (provider IS NOT NULL)),
    CONSTRAINT payment_tenant UNIQUE (id, merchant_id, store_id),
    CONSTRAINT payment_of_bill FOREIGN KEY (bill_id, merchant_id, store_id)
        REFERENCES smarttab.bill (id, merchant_id, store_id)
) PARTITION BY RANGE (id);
CREATE INDEX payment_bill ON smarttab.payment (bill_id);
CREATE INDEX payment_store ON smarttab.payment (store_id, id DESC);
CREATE INDEX payment_intent ON smarttab.payment (intent_id);
CREATE INDEX payment_settlement ON smarttab.payment (settlement_id) WHERE provider IS NOT NULL;
-- What is not finished: few rows, however many payments there are.
CREATE INDEX payment_unfinished ON smarttab.payment (store_id, id) WHERE status IN ('pending', 'processing');

-- What the sweep looks for: QR payments that nobody may be working on, those past their end, and cash and cards that the
-- gateway has yet to hear of.
CREATE INDEX payment_adrift ON smarttab.payment (id)
    WHERE method = 'qr' AND status IN ('pending', 'processing') AND (intent_id IS NULL OR cancel_requested_at IS NOT NULL);
CREATE INDEX payment_overdue ON smarttab.payment (expires_at) WHERE method = 'qr' AND status IN ('pending', 'processing');
CREATE INDEX payment_unreported ON smarttab.payment (id) WHERE method <> 'qr' AND reported_at IS NULL AND ended_at IS NOT NULL;

-- The table of edges is in payment.go; a test holds the two together.
-- +goose StatementBegin
CREATE FUNCTION smarttab.payment_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
        ('pending', 'processing'), ('pending', 'completed'), ('pending', 'failed'), ('pending', 'cancelled'),
        ('processing', 'completed'), ('processing', 'failed'), ('processing', 'cancelled'),
        ('completed', 'refunded')) THEN
        RAISE EXCEPTION 'a payment does not go from % to %', OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_edge';
    END IF;
    IF (NEW.id, NEW.merchant_id, NEW.store_id, NEW.bill_id, NEW.method, NEW.currency, NEW.amount)
       <> (OLD.id, OLD.merchant_id, OLD.store_id, OLD.bill_id, OLD.method, OLD.currency, OLD.amount)
       OR NEW.split_id IS DISTINCT FROM OLD.split_id
       OR (OLD.settlement_id IS NOT NULL AND NEW.settlement_id IS DISTINCT FROM OLD.settlement_id)
       OR NEW.refunded_amount < OLD.refunded_amount THEN
        RAISE EXCEPTION 'what a payment is for never changes'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_immutable';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER payment_guard BEFORE UPDATE ON smarttab.payment
    FOR EACH ROW EXECUTE FUNCTION smarttab.payment_guard();

-- Money on its way back from a completed payment.
CREATE TABLE smarttab.refund (
    id              uuid NOT NULL PRIMARY KEY,
    merchant_id     uuid NOT NULL,
    store_id        uuid NOT NULL,
    payment_id      uuid NOT NULL,
    bill_id         uuid NOT NULL,
    status          text NOT NULL CHECK (status IN ('pending', 'processing', 'succeeded', 'failed')),
    version         integer NOT NULL CHECK (version > 0),
    currency        text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount          bigint NOT NULL CHECK (amount > 0),
    reason          text NOT NULL,
    actor_kind      text NOT NULL CHECK (actor_kind IN ('user', 'device', 'system')),
    actor_ref       text NOT NULL,
    gateway_refund_id text,
    gateway_version bigint NOT NULL DEFAULT 0,
    failure_code    text,
    failure_message text,
    tax_lines       jsonb,
    settlement_id   uuid REFERENCES smarttab.settlement (id),
    receipt_number  text,
    occurred_at     timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    ended_at        timestamptz,
    reported_at     timestamptz,
    CONSTRAINT refund_ended CHECK ((status IN ('pending', 'processing')) = (ended_at IS NULL)),
    CONSTRAINT refund_of_payment FOREIGN KEY (payment_id, merchant_id, store_id)
        REFERENCES smarttab.payment (id, merchant_id, store_id),
    CONSTRAINT refund_succeeded CHECK ((status = 'succeeded') = (settlement_id IS NOT NULL AND tax_lines IS NOT NULL))
) PARTITION BY RANGE (id);
CREATE INDEX refund_payment ON smarttab.refund (payment_id, id);
CREATE INDEX refund_unreported ON smarttab.refund (id) WHERE reported_at IS NULL AND status <> 'failed';
CREATE INDEX refund_unfinished ON smarttab.refund (store_id, id) WHERE status IN ('pending', 'processing');

-- +goose StatementBegin
CREATE FUNCTION smarttab.refund_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
        ('pending', 'processing'), ('pending', 'succeeded'), ('pending', 'failed'),
        ('processing', 'succeeded'), ('processing', 'failed')) THEN
        RAISE EXCEPTION 'a refund does not go from % to %', OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'refund_edge';
    END IF;
    IF (NEW.id, NEW.merchant_id, NEW.store_id, NEW.payment_id, NEW.currency, NEW.amount)
       <> (OLD.id, OLD.merchant_id, OLD.store_id, OLD.payment_id, OLD.currency, OLD.amount) THEN
        RAISE EXCEPTION 'what a refund is of never changes'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'refund_immutable';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER refund_guard BEFORE UPDATE ON smarttab.refund
    FOR EACH ROW EXECUTE FUNCTION smarttab.refund_guard();

-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['payment', 'refund'] LOOP
        EXECUTE format('ALTER TABLE smarttab.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON smarttab.%I USING (mpac.store_visible(merchant_id, store_id))', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON smarttab.%I TO svc_smarttab', name);
    END LOOP;
END
$$;
-- +goose StatementEnd
SELECT smarttab.partition_default('payment');
SELECT smarttab.partition_default('refund');
