-- +goose Up

-- A store's business day: open while it takes bookings, closed by its Z report, reconciled when every provider payment of
-- it has been found in the provider's own files. A row is made by the first booking of its day.
CREATE TABLE smarttab.settlement (
    id            uuid PRIMARY KEY,
    merchant_id   uuid NOT NULL,
    store_id      uuid NOT NULL,
    business_day  date NOT NULL,
    currency      text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    status        text NOT NULL CHECK (status IN ('open', 'closed', 'reconciled')),
    -- A Z never changes: a wrong count is put right by a further Z that names the first.
    corrects_id   uuid REFERENCES smarttab.settlement (id),
    correction_reason text CHECK ((corrects_id IS NULL) = (correction_reason IS NULL)),
    z_number      bigint CHECK (z_number > 0),
    opened_at     timestamptz NOT NULL,
    closed_at     timestamptz,
    closed_by     text,
    reconciled_at timestamptz,
    -- Everything below is what the Z says, minor units of currency.
    figures       jsonb,
    counted       jsonb,
    expected_cash bigint,
    counted_cash  bigint,
    difference    bigint,
    CONSTRAINT settlement_closed CHECK (
        (status = 'open' AND z_number IS NULL AND closed_at IS NULL AND figures IS NULL AND corrects_id IS NULL)
        OR (status <> 'open' AND z_number IS NOT NULL AND closed_at IS NOT NULL AND figures IS NOT NULL
            AND counted IS NOT NULL AND expected_cash IS NOT NULL AND difference = counted_cash - expected_cash)),
    CONSTRAINT settlement_reconciled CHECK ((status = 'reconciled') = (reconciled_at IS NOT NULL)),
    CONSTRAINT settlement_z_number UNIQUE (store_id, z_number)
);
CREATE UNIQUE INDEX settlement_day ON smarttab.settlement (store_id, business_day) WHERE corrects_id IS NULL;
CREATE INDEX settlement_corrections ON smarttab.settlement (corrects_id);
CREATE INDEX settlement_store ON smarttab.settlement (store_id, id DESC);
CREATE INDEX settlement_unclosed ON smarttab.settlement (store_id, business_day) WHERE status = 'open';

-- open -> closed -> reconciled and nothing else; once closed only the mark of reconciliation may come.
-- +goose StatementBegin
CREATE FUNCTION smarttab.settlement_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status = 'open' AND NEW.status IN ('open', 'closed')
       AND (NEW.id, NEW.merchant_id, NEW.store_id, NEW.business_day, NEW.currency, NEW.opened_at)
         = (OLD.id, OLD.merchant_id, OLD.store_id, OLD.business_day, OLD.currency, OLD.opened_at) THEN
        RETURN NEW;
    END IF;
    IF OLD.status = 'closed' AND NEW.status = 'reconciled'
       AND to_jsonb(NEW) - 'status' - 'reconciled_at' = to_jsonb(OLD) - 'status' - 'reconciled_at' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a settlement that is % does not change so', OLD.status
        USING ERRCODE = 'check_violation', CONSTRAINT = 'settlement_immutable';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER settlement_guard BEFORE UPDATE ON smarttab.settlement
    FOR EACH ROW EXECUTE FUNCTION smarttab.settlement_guard();

-- What a day consists of: one row a payment that completed and one a refund that went back, written in the transaction that
-- moved the money. Append-only.
CREATE TABLE smarttab.settlement_entry (
    id            uuid NOT NULL PRIMARY KEY,
    merchant_id   uuid NOT NULL,
    store_id      uuid NOT NULL,
    settlement_id uuid NOT NULL REFERENCES smarttab.settlement (id),
    kind          text NOT NULL CHECK (kind IN ('sale', 'refund')),
    payment_id    uuid NOT NULL,
    refund_id     uuid CHECK ((kind = 'refund') = (refund_id IS NOT NULL)),
    method        text NOT NULL CHECK (method IN ('cash', 'qr', 'card')),
    provider      text,
    amount        bigint NOT NULL CHECK (amount > 0),
    discount      bigint NOT NULL CHECK (discount >= 0),
    tax_lines     jsonb NOT NULL,
    occurred_at   timestamptz NOT NULL,
    recorded_at   timestamptz NOT NULL
) PARTITION BY RANGE (id);
CREATE INDEX settlement_entry_settlement ON smarttab.settlement_entry (settlement_id);
CREATE INDEX settlement_entry_payment ON smarttab.settlement_entry (payment_id);

-- Cash that went into or out of the drawer without a sale, and openings of the drawer without either. Append-only.
CREATE TABLE smarttab.cash_movement (
    id            uuid PRIMARY KEY,
    merchant_id   uuid NOT NULL,
    store_id      uuid NOT NULL,
    settlement_id uuid NOT NULL REFERENCES smarttab.settlement (id),
    type          text NOT NULL CHECK (type IN ('float', 'pay_in', 'pay_out', 'drawer_open')),
    amount        bigint NOT NULL,
    reason        text NOT NULL,
    actor_kind    text NOT NULL CHECK (actor_kind IN ('user', 'device', 'system')),
    actor_ref     text NOT NULL,
    recorded_at   timestamptz NOT NULL,
    CONSTRAINT cash_movement_amount CHECK (CASE type WHEN 'drawer_open' THEN amount = 0 ELSE amount > 0 END)
);
CREATE INDEX cash_movement_settlement ON smarttab.cash_movement (settlement_id, id);

-- Nothing is booked to a day that has its Z. The bookings hold a share lock on the day's row and the close an exclusive
-- one, so this only speaks when code is wrong.
-- +goose StatementBegin
CREATE FUNCTION smarttab.settlement_is_open() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM smarttab.settlement s
                   WHERE s.id = NEW.settlement_id AND s.store_id = NEW.store_id AND s.status = 'open') THEN
        RAISE EXCEPTION 'the business day is closed'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'settlement_open';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER settlement_entry_open BEFORE INSERT ON smarttab.settlement_entry
    FOR EACH ROW EXECUTE FUNCTION smarttab.settlement_is_open();
CREATE TRIGGER cash_movement_open BEFORE INSERT ON smarttab.cash_movement
    FOR EACH ROW EXECUTE FUNCTION smarttab.settlement_is_open();

-- Series of numbers of a store: 'z' and 'receipt'. The row stays locked from the number's taking to the commit, so a number
-- that is not used is given back: no gap.
CREATE TABLE smarttab.paper_counter (
    store_id    uuid NOT NULL,
    series      text NOT NULL CHECK (series IN ('z', 'receipt')),
    merchant_id uuid NOT NULL,
    last        bigint NOT NULL CHECK (last > 0),
    PRIMARY KEY (store_id, series)
);

-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['settlement', 'settlement_entry', 'cash_movement', 'paper_counter'] LOOP
        EXECUTE format('ALTER TABLE smarttab.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON smarttab.%I USING (mpac.store_visible(merchant_id, store_id))', name);
    END LOOP;
END
$$;
-- +goose StatementEnd
GRANT SELECT, INSERT, UPDATE ON smarttab.settlement, smarttab.paper_counter TO svc_smarttab;
GRANT SELECT, INSERT ON smarttab.settlement_entry, smarttab.cash_movement TO svc_smarttab;
SELECT smarttab.partition_default('settlement_entry');
