-- +goose Up

-- Numbers per store and business day. The row stays locked from the taking of a number to the commit: no number twice, and
-- none is lost by a transaction that fails.
CREATE TABLE smarttab.day_counter (
    store_id     uuid NOT NULL,
    business_day date NOT NULL,
    series       text NOT NULL CHECK (series IN ('order', 'bill')),
    merchant_id  uuid NOT NULL,
    last         bigint NOT NULL CHECK (last > 0),
    PRIMARY KEY (store_id, business_day, series)
);

-- What a customer bought. Amounts in the currency's minor unit, reckoned by the service, never taken from a client.
CREATE TABLE smarttab.orders (
    id            uuid NOT NULL PRIMARY KEY,
    merchant_id   uuid NOT NULL,
    store_id      uuid NOT NULL,
    number        text NOT NULL,
    business_day  date NOT NULL,
    status        text NOT NULL CHECK (status IN ('open', 'billed', 'completed', 'cancelled')),
    version       bigint NOT NULL CHECK (version > 0),
    order_type    text NOT NULL CHECK (order_type IN ('dine_in', 'takeaway', 'delivery')),
    table_name    text NOT NULL DEFAULT '',
    note          text NOT NULL DEFAULT '',
    currency      text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    -- The store's and merchant's settings when the order was made: changing them later changes no order.
    price_mode    text NOT NULL CHECK (price_mode IN ('inclusive', 'exclusive')),
    rounding      text NOT NULL CHECK (rounding IN ('floor', 'half_up', 'ceil')),
    subtotal      bigint NOT NULL CHECK (subtotal >= 0),
    tax_lines     jsonb NOT NULL,
    tax           bigint NOT NULL CHECK (tax >= 0),
    total         bigint NOT NULL CHECK (total >= subtotal),
    -- The sequence the next item gets; a sequence is never given twice.
    next_sequence integer NOT NULL CHECK (next_sequence > 0),
    bill_id       uuid,
    actor_kind    text NOT NULL CHECK (actor_kind IN ('user', 'device', 'system')),
    actor_ref     text NOT NULL,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    completed_at  timestamptz,
    cancelled_at  timestamptz,
    -- What items and bills refer to: an order together with its tenant, so that no row can point into another store.
    CONSTRAINT orders_tenant UNIQUE (id, merchant_id, store_id),
    CONSTRAINT orders_billed CHECK ((status IN ('billed', 'completed')) = (bill_id IS NOT NULL)),
    CONSTRAINT orders_completed CHECK ((status = 'completed') = (completed_at IS NOT NULL)),
    CONSTRAINT orders_cancelled CHECK ((status = 'cancelled') = (cancelled_at IS NOT NULL))
) PARTITION BY RANGE (id);
-- Lists of a store, newest first; what is open is few rows among many.
CREATE INDEX orders_store ON smarttab.orders (store_id, id DESC);
CREATE INDEX orders_unfinished ON smarttab.orders (store_id, id DESC) WHERE status IN ('open', 'billed');

-- The table of edges is in order.go; a test holds the two together.
-- +goose StatementBegin
CREATE FUNCTION smarttab.orders_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
        ('open', 'billed'), ('open', 'cancelled'), ('billed', 'open'), ('billed', 'completed')) THEN
        RAISE EXCEPTION 'an order does not go from % to %', OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'orders_edge';
    END IF;
    IF NEW.version <> OLD.version + 1
       OR (NEW.id, NEW.merchant_id, NEW.store_id, NEW.number, NEW.business_day, NEW.currency)
       <> (OLD.id, OLD.merchant_id, OLD.store_id, OLD.number, OLD.business_day, OLD.currency)
       OR (OLD.status <> 'open' AND (NEW.subtotal, NEW.total) <> (OLD.subtotal, OLD.total)) THEN
        RAISE EXCEPTION 'an order does not change so'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'orders_immutable';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER orders_guard BEFORE UPDATE ON smarttab.orders
    FOR EACH ROW EXECUTE FUNCTION smarttab.orders_guard();

CREATE TABLE smarttab.order_item (
    order_id    uuid NOT NULL,
    id          uuid NOT NULL,
    merchant_id uuid NOT NULL,
    store_id    uuid NOT NULL,
    sequence    integer NOT NULL CHECK (sequence > 0),
    name        text NOT NULL CHECK (name <> ''),
    quantity    bigint NOT NULL CHECK (quantity > 0),
    unit_price  bigint NOT NULL CHECK (unit_price >= 0),
    tax_class   text NOT NULL CHECK (tax_class IN ('standard', 'food')),
    tax_rate    integer NOT NULL CHECK (tax_rate IN (8, 10)),
    options     jsonb NOT NULL,
    notes       text NOT NULL DEFAULT '',
    -- quantity x (unit_price + options), in the store's price mode.
    amount      bigint NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (order_id, id),
    CONSTRAINT order_item_sequence UNIQUE (order_id, sequence),
    CONSTRAINT order_item_order FOREIGN KEY (order_id, merchant_id, store_id)
        REFERENCES smarttab.orders (id, merchant_id, store_id)
) PARTITION BY RANGE (order_id);

SELECT smarttab.partition_default('orders');
SELECT smarttab.partition_default('order_item');

-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['day_counter', 'orders', 'order_item'] LOOP
        EXECUTE format('ALTER TABLE smarttab.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON smarttab.%I USING (mpac.store_visible(merchant_id, store_id))', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON smarttab.%I TO svc_smarttab', name);
    END LOOP;
END
$$;
-- +goose StatementEnd
GRANT DELETE ON smarttab.order_item TO svc_smarttab;
