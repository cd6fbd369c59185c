-- +goose Up

-- A request to pay for one or several orders. Amounts in the currency's minor unit, tax included where not said otherwise.
CREATE TABLE smarttab.bill (
    id               uuid NOT NULL PRIMARY KEY,
    merchant_id      uuid NOT NULL,
    store_id         uuid NOT NULL,
    number           text NOT NULL,
    business_day     date NOT NULL,
    status           text NOT NULL CHECK (status IN ('pending', 'partial', 'paid', 'cancelled')),
    version          bigint NOT NULL CHECK (version > 0),
    currency         text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    price_mode       text NOT NULL CHECK (price_mode IN ('inclusive', 'exclusive')),
    rounding         text NOT NULL CHECK (rounding IN ('floor', 'half_up', 'ceil')),
    -- The orders' items as priced; the discount comes off before tax.
    subtotal         bigint NOT NULL CHECK (subtotal >= 0),
    discount_percent integer CHECK (discount_percent BETWEEN 1 AND 100),
    discount_fixed   bigint CHECK (discount_fixed > 0),
    discount_amount  bigint NOT NULL CHECK (discount_amount BETWEEN 0 AND subtotal),
    tax_lines        jsonb NOT NULL,
    tax              bigint NOT NULL CHECK (tax >= 0),
    total            bigint NOT NULL CHECK (total >= 0),
    paid_amount      bigint NOT NULL DEFAULT 0 CHECK (paid_amount >= 0),
    reserved_amount  bigint NOT NULL DEFAULT 0 CHECK (reserved_amount >= 0),
    refunded_amount  bigint NOT NULL DEFAULT 0 CHECK (refunded_amount >= 0),
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    paid_at          timestamptz,
    cancelled_at     timestamptz,
    CONSTRAINT bill_tenant UNIQUE (id, merchant_id, store_id),
    -- A bill is never paid twice, whatever the code does.
    CONSTRAINT bill_never_overpaid CHECK (paid_amount + reserved_amount <= total AND refunded_amount <= paid_amount),
    CONSTRAINT bill_paid CHECK (
        CASE status WHEN 'paid' THEN paid_amount = total AND paid_at IS NOT NULL
                    WHEN 'partial' THEN paid_amount > 0 AND paid_amount < total
                    WHEN 'pending' THEN paid_amount = 0 AND total > 0
                    ELSE reserved_amount = 0 AND paid_amount = refunded_amount AND cancelled_at IS NOT NULL END),
    CONSTRAINT bill_one_discount CHECK (discount_percent IS NULL OR discount_fixed IS NULL)
) PARTITION BY RANGE (id);
CREATE INDEX bill_store ON smarttab.bill (store_id, id DESC);
CREATE INDEX bill_unfinished ON smarttab.bill (store_id, id DESC) WHERE status IN ('pending', 'partial');

-- What Settle and Cancel of bill.go may do; a test holds the two together.
-- +goose StatementBegin
CREATE FUNCTION smarttab.bill_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
        ('pending', 'partial'), ('pending', 'paid'), ('pending', 'cancelled'), ('partial', 'paid'), ('partial', 'cancelled')) THEN
        RAISE EXCEPTION 'a bill does not go from % to %', OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'bill_edge';
    END IF;
    IF NEW.version <> OLD.version + 1 OR NEW.paid_amount < OLD.paid_amount OR NEW.refunded_amount < OLD.refunded_amount
       OR (NEW.id, NEW.merchant_id, NEW.store_id, NEW.number, NEW.business_day, NEW.currency, NEW.subtotal, NEW.discount_amount, NEW.total, NEW.tax_lines)
       <> (OLD.id, OLD.merchant_id, OLD.store_id, OLD.number, OLD.business_day, OLD.currency, OLD.subtotal, OLD.discount_amount, OLD.total, OLD.tax_lines) THEN
        RAISE EXCEPTION 'a bill does not change so'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'bill_immutable';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER bill_guard BEFORE UPDATE ON smarttab.bill
    FOR EACH ROW EXECUTE FUNCTION smarttab.bill_guard();

-- Which orders a bill is for. A cancelled bill keeps its list; whose bill an order is now, orders.bill_id says.
CREATE TABLE smarttab.bill_order (
    bill_id     uuid NOT NULL,
    order_id    uuid NOT NULL,
    merchant_id uuid NOT NULL,
    store_id    uuid NOT NULL,
    PRIMARY KEY (bill_id, order_id),
    CONSTRAINT bill_order_bill FOREIGN KEY (bill_id, merchant_id, store_id)
        REFERENCES smarttab.bill (id, merchant_id, store_id),
    CONSTRAINT bill_order_order FOREIGN KEY (order_id, merchant_id, store_id)
        REFERENCES smarttab.orders (id, merchant_id, store_id)
) PARTITION BY RANGE (bill_id);

-- The parts of a split bill. Parts without money on them are replaced when the bill is split anew.
CREATE TABLE smarttab.bill_split (
    bill_id         uuid NOT NULL,
    id              uuid NOT NULL,
    merchant_id     uuid NOT NULL,
    store_id        uuid NOT NULL,
    sequence        integer NOT NULL CHECK (sequence > 0),
    tax_lines       jsonb NOT NULL,
    total           bigint NOT NULL CHECK (total > 0),
    paid_amount     bigint NOT NULL DEFAULT 0 CHECK (paid_amount >= 0),
    reserved_amount bigint NOT NULL DEFAULT 0 CHECK (reserved_amount >= 0),
    refunded_amount bigint NOT NULL DEFAULT 0 CHECK (refunded_amount >= 0),
    PRIMARY KEY (bill_id, id),
    CONSTRAINT bill_split_sequence UNIQUE (bill_id, sequence),
    CONSTRAINT bill_split_never_overpaid CHECK (paid_amount + reserved_amount <= total AND refunded_amount <= paid_amount),
    CONSTRAINT bill_split_bill FOREIGN KEY (bill_id, merchant_id, store_id)
        REFERENCES smarttab.bill (id, merchant_id, store_id)
) PARTITION BY RANGE (bill_id);

-- What each payment holds of a bill or part, and has paid once settled, with the tax lines it bears.
CREATE TABLE smarttab.bill_reservation (
    bill_id         uuid NOT NULL,
    payment_id      uuid NOT NULL,
    merchant_id     uuid NOT NULL,
    store_id        uuid NOT NULL,
    split_id        uuid,
    state           text NOT NULL CHECK (state IN ('held', 'settled', 'released')),
    tax_lines       jsonb NOT NULL,
    amount          bigint NOT NULL CHECK (amount > 0),
    refunded_amount bigint NOT NULL DEFAULT 0 CHECK (refunded_amount BETWEEN 0 AND amount),
    held_at         timestamptz NOT NULL,
    ended_at        timestamptz,
    PRIMARY KEY (bill_id, payment_id),
    CONSTRAINT bill_reservation_ended CHECK ((state = 'held') = (ended_at IS NULL)),
    CONSTRAINT bill_reservation_refunded CHECK (refunded_amount = 0 OR state = 'settled'),
    CONSTRAINT bill_reservation_bill FOREIGN KEY (bill_id, merchant_id, store_id)
        REFERENCES smarttab.bill (id, merchant_id, store_id)
) PARTITION BY RANGE (bill_id);

-- Every operation on a bill: who, what, which version it made. Append-only.
CREATE TABLE smarttab.bill_history (
    bill_id     uuid NOT NULL,
    version     bigint NOT NULL,
    merchant_id uuid NOT NULL,
    store_id    uuid NOT NULL,
    at          timestamptz NOT NULL,
    actor_kind  text NOT NULL CHECK (actor_kind IN ('user', 'device', 'system')),
    actor_ref   text NOT NULL,
    action      text NOT NULL CHECK (action IN
        ('created', 'split', 'unsplit', 'reserved', 'released', 'settled', 'refunded', 'cancelled')),
    detail      jsonb NOT NULL,
    PRIMARY KEY (bill_id, version),
    CONSTRAINT bill_history_bill FOREIGN KEY (bill_id, merchant_id, store_id)
        REFERENCES smarttab.bill (id, merchant_id, store_id)
) PARTITION BY RANGE (bill_id);

-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['bill', 'bill_order', 'bill_split', 'bill_reservation', 'bill_history'] LOOP
        PERFORM smarttab.partition_default(name);
        EXECUTE format('ALTER TABLE smarttab.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON smarttab.%I USING (mpac.store_visible(merchant_id, store_id))', name);
        EXECUTE format('GRANT SELECT, INSERT ON smarttab.%I TO svc_smarttab', name);
    END LOOP;
END
$$;
-- +goose StatementEnd
GRANT UPDATE ON smarttab.bill, smarttab.bill_split, smarttab.bill_reservation TO svc_smarttab;
GRANT DELETE ON smarttab.bill_split TO svc_smarttab;
