-- +goose Up

-- A receipt for a completed payment, or the return invoice of a refund, as it was when it was issued: kept seven years,
-- never changed.
CREATE TABLE smarttab.receipt (
    id          uuid NOT NULL PRIMARY KEY,
    merchant_id uuid NOT NULL,
    store_id    uuid NOT NULL,
    number      text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('receipt', 'return_invoice')),
    payment_id  uuid NOT NULL,
    refund_id   uuid CHECK ((kind = 'return_invoice') = (refund_id IS NOT NULL)),
    issued_at   timestamptz NOT NULL,
    data        jsonb NOT NULL
) PARTITION BY RANGE (id);
CREATE INDEX receipt_payment ON smarttab.receipt (payment_id, id);

-- Numbers in use: what must be unique for ever cannot be asked of a table in partitions.
CREATE TABLE smarttab.receipt_number (
    store_id    uuid NOT NULL,
    number      text NOT NULL,
    merchant_id uuid NOT NULL,
    receipt_id  uuid NOT NULL,
    PRIMARY KEY (store_id, number)
);

-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['receipt', 'receipt_number'] LOOP
        EXECUTE format('ALTER TABLE smarttab.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON smarttab.%I USING (mpac.store_visible(merchant_id, store_id))', name);
        EXECUTE format('GRANT SELECT, INSERT ON smarttab.%I TO svc_smarttab', name);
    END LOOP;
END
$$;
-- +goose StatementEnd
SELECT smarttab.partition_default('receipt');
