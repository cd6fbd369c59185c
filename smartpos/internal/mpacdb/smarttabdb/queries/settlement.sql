-- name: LastClosedDay :one
-- The newest day of the store that has its Z; empty when there is none.
SELECT coalesce(max(business_day)::text, '')::text AS business_day
FROM smarttab.settlement
WHERE store_id = @store_id AND corrects_id IS NULL AND status <> 'open';

-- name: OpenDays :many
-- Days before the given one that have no Z yet.
SELECT business_day::text AS business_day
FROM smarttab.settlement
WHERE store_id = @store_id AND corrects_id IS NULL AND status = 'open' AND business_day < to_date(@before::text, 'YYYY-MM-DD')
ORDER BY business_day;

-- name: EnsureSettlement :exec
INSERT INTO smarttab.settlement (id, merchant_id, store_id, business_day, currency, status, opened_at)
VALUES (@id, @merchant_id, @store_id, to_date(@business_day::text, 'YYYY-MM-DD'), @currency, 'open', @opened_at)
ON CONFLICT (store_id, business_day) WHERE corrects_id IS NULL DO NOTHING;

-- name: ShareSettlementOfDay :one
-- The lock of a booking: the day cannot close before it commits.
SELECT id, status
FROM smarttab.settlement
WHERE store_id = @store_id AND business_day = to_date(@business_day::text, 'YYYY-MM-DD') AND corrects_id IS NULL
FOR SHARE;

-- name: LockSettlementOfDay :one
-- The lock of the close: it waits for the bookings under way.
SELECT id, status
FROM smarttab.settlement
WHERE store_id = @store_id AND business_day = to_date(@business_day::text, 'YYYY-MM-DD') AND corrects_id IS NULL
FOR UPDATE;

-- name: LockSettlement :one
SELECT id, status
FROM smarttab.settlement
WHERE id = @id
FOR NO KEY UPDATE;

-- name: GetSettlement :one
SELECT id, merchant_id, store_id, business_day::text AS business_day, currency, status, corrects_id, correction_reason,
       z_number, opened_at, closed_at, closed_by, reconciled_at, figures, counted, expected_cash, counted_cash, difference
FROM smarttab.settlement
WHERE id = @id;

-- name: SettlementOfDay :one
SELECT id, merchant_id, store_id, business_day::text AS business_day, currency, status, corrects_id, correction_reason,
       z_number, opened_at, closed_at, closed_by, reconciled_at, figures, counted, expected_cash, counted_cash, difference
FROM smarttab.settlement
WHERE store_id = @store_id AND business_day = to_date(@business_day::text, 'YYYY-MM-DD') AND corrects_id IS NULL;

-- name: ListSettlements :many
SELECT id, merchant_id, store_id, business_day::text AS business_day, currency, status, corrects_id, correction_reason,
       z_number, opened_at, closed_at, closed_by, reconciled_at, figures, counted, expected_cash, counted_cash, difference
FROM smarttab.settlement
WHERE (sqlc.narg(store_id)::uuid IS NULL OR store_id = sqlc.narg(store_id))
  AND (sqlc.narg(business_day)::text IS NULL OR business_day = to_date(sqlc.narg(business_day)::text, 'YYYY-MM-DD'))
  AND (sqlc.narg(status)::text IS NULL OR status = sqlc.narg(status))
  AND (sqlc.narg(before)::uuid IS NULL OR id < sqlc.narg(before))
ORDER BY id DESC
LIMIT @max_rows;

-- name: CloseSettlement :exec
UPDATE smarttab.settlement
SET status = 'closed', z_number = @z_number::bigint, closed_at = @closed_at::timestamptz, closed_by = @closed_by::text,
    figures = @figures::jsonb, counted = @counted::jsonb, expected_cash = @expected_cash::bigint,
    counted_cash = @counted_cash::bigint, difference = @difference::bigint
WHERE id = @id;

-- name: CorrectSettlement :exec
-- A further Z that names the first, with the first one's figures and a count of its own.
INSERT INTO smarttab.settlement (id, merchant_id, store_id, business_day, currency, status, corrects_id, correction_reason,
    z_number, opened_at, closed_at, closed_by, reconciled_at, figures, counted, expected_cash, counted_cash, difference)
VALUES (@id, @merchant_id, @store_id, to_date(@business_day::text, 'YYYY-MM-DD'), @currency, @status, @corrects_id,
    @correction_reason, @z_number, @opened_at, @closed_at, @closed_by, @reconciled_at, @figures, @counted, @expected_cash,
    @counted_cash, @difference);

-- name: ReconcileSettlement :execrows
-- Closed and each of its provider payments found: reconciled, with the Zs that correct it. The caller holds LockSettlement.
UPDATE smarttab.settlement s
SET status = 'reconciled', reconciled_at = @reconciled_at::timestamptz
WHERE (s.id = @id OR s.corrects_id = @id) AND s.status = 'closed'
  AND NOT EXISTS (SELECT FROM smarttab.payment p
                  WHERE p.settlement_id = @id AND p.id >= @since AND p.provider IS NOT NULL AND p.reconciled_at IS NULL);

-- name: NextNumber :one
-- The next number of a store's series. The counter's row stays locked to the end of the transaction.
INSERT INTO smarttab.paper_counter (store_id, series, merchant_id, last)
VALUES (@store_id, @series, @merchant_id, 1)
ON CONFLICT (store_id, series) DO UPDATE SET last = paper_counter.last + 1
RETURNING last;

-- name: InsertSettlementEntry :exec
INSERT INTO smarttab.settlement_entry (id, merchant_id, store_id, settlement_id, kind, payment_id, refund_id, method, provider,
    amount, discount, tax_lines, occurred_at, recorded_at)
VALUES (@id, @merchant_id, @store_id, @settlement_id, @kind, @payment_id, @refund_id, @method, @provider,
    @amount, @discount, @tax_lines, @occurred_at, @recorded_at);

-- name: SettlementEntries :many
SELECT kind, payment_id, refund_id, method, provider, amount, discount, tax_lines, occurred_at
FROM smarttab.settlement_entry
WHERE settlement_id = @settlement_id AND id >= @since
ORDER BY id;

-- name: InsertCashMovement :exec
INSERT INTO smarttab.cash_movement (id, merchant_id, store_id, settlement_id, type, amount, reason, actor_kind, actor_ref, recorded_at)
VALUES (@id, @merchant_id, @store_id, @settlement_id, @type, @amount, @reason, @actor_kind, @actor_ref, @recorded_at);

-- name: CashMovements :many
SELECT id, type, amount, reason, recorded_at
FROM smarttab.cash_movement
WHERE settlement_id = @settlement_id
ORDER BY id;

-- name: UnfinishedPayments :many
SELECT id, bill_id, method, provider, amount, status, created_at
FROM smarttab.payment
WHERE store_id = @store_id AND id >= @since AND status IN ('pending', 'processing')
ORDER BY id;

-- name: ListOverdueSettlements :many
-- For people: the days that OverdueSettlements counts.
SELECT s.id, s.store_id, st.code AS store_code, st.name AS store_name, s.business_day::text AS business_day, s.opened_at,
       ((s.business_day + 1 + st.day_cutoff::time) AT TIME ZONE st.timezone)::timestamptz AS ended_at
FROM smarttab.settlement s JOIN portal.stores st ON st.id = s.store_id
WHERE s.status = 'open' AND s.corrects_id IS NULL
  AND (s.business_day + 1 + st.day_cutoff::time) AT TIME ZONE st.timezone < sqlc.arg(ended_before)::timestamptz
ORDER BY s.business_day, st.code
LIMIT @max_rows;
