-- name: BillInsert :exec
INSERT INTO smarttab.bill (id, merchant_id, store_id, number, business_day, status, version, currency, price_mode, rounding,
    subtotal, discount_percent, discount_fixed, discount_amount, tax_lines, tax, total, created_at, updated_at, paid_at)
VALUES (@id, @merchant_id, @store_id, @number, @business_day, @status, 1, @currency, @price_mode, @rounding,
    @subtotal, sqlc.narg('discount_percent'), sqlc.narg('discount_fixed'), @discount_amount, @tax_lines, @tax, @total,
    @created_at, @created_at, sqlc.narg('paid_at'));

-- name: BillOrdersInsert :exec
INSERT INTO smarttab.bill_order (bill_id, order_id, merchant_id, store_id)
SELECT @bill_id, unnest(@order_ids::uuid[]), @merchant_id, @store_id;

-- name: BillGet :one
SELECT * FROM smarttab.bill WHERE id = $1;

-- name: BillLock :one
SELECT * FROM smarttab.bill WHERE id = $1 FOR NO KEY UPDATE;

-- name: BillUpdate :exec
UPDATE smarttab.bill
SET version = version + 1, status = @status, paid_amount = @paid_amount, reserved_amount = @reserved_amount,
    refunded_amount = @refunded_amount, updated_at = @updated_at, paid_at = sqlc.narg('paid_at'), cancelled_at = sqlc.narg('cancelled_at')
WHERE id = @id;

-- name: BillOrders :many
SELECT bill_id, order_id FROM smarttab.bill_order WHERE bill_id = ANY (@bill_ids::uuid[]) ORDER BY bill_id, order_id;

-- name: BillSplits :many
SELECT * FROM smarttab.bill_split WHERE bill_id = ANY (@bill_ids::uuid[]) ORDER BY bill_id, sequence;

-- name: BillReservations :many
SELECT * FROM smarttab.bill_reservation WHERE bill_id = $1 AND state <> 'released' ORDER BY held_at, payment_id;

-- name: BillSplitsInsert :exec
INSERT INTO smarttab.bill_split (bill_id, id, merchant_id, store_id, sequence, tax_lines, total)
SELECT @bill_id, unnest(@ids::uuid[]), @merchant_id, @store_id, unnest(@sequences::integer[]), unnest(@tax_lines::text[])::jsonb,
    unnest(@totals::bigint[]);

-- name: BillSplitsDelete :exec
-- Parts with money on them stay whatever is asked.
DELETE FROM smarttab.bill_split
WHERE bill_id = @bill_id AND paid_amount = 0 AND reserved_amount = 0 AND NOT id = ANY (@keep::uuid[]);

-- name: BillSplitUpdate :exec
UPDATE smarttab.bill_split
SET paid_amount = @paid_amount, reserved_amount = @reserved_amount, refunded_amount = @refunded_amount
WHERE bill_id = @bill_id AND id = @id;

-- name: BillReservationInsert :exec
INSERT INTO smarttab.bill_reservation (bill_id, payment_id, merchant_id, store_id, split_id, state, tax_lines, amount, held_at)
VALUES (@bill_id, @payment_id, @merchant_id, @store_id, sqlc.narg('split_id'), 'held', @tax_lines, @amount, @held_at);

-- name: BillReservationEnd :exec
UPDATE smarttab.bill_reservation SET state = @state, ended_at = @ended_at
WHERE bill_id = @bill_id AND payment_id = @payment_id;

-- name: BillReservationRefund :exec
UPDATE smarttab.bill_reservation SET refunded_amount = @refunded_amount
WHERE bill_id = @bill_id AND payment_id = @payment_id;

-- name: BillHistoryInsert :exec
INSERT INTO smarttab.bill_history (bill_id, version, merchant_id, store_id, at, actor_kind, actor_ref, action, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: BillHistory :many
SELECT * FROM smarttab.bill_history WHERE bill_id = $1 ORDER BY version;

-- name: BillList :many
SELECT * FROM smarttab.bill
WHERE store_id = @store_id
  AND (sqlc.narg('before')::uuid IS NULL OR id < sqlc.narg('before')::uuid)
  AND (@status::text = '' OR status = @status::text)
  AND (sqlc.narg('business_day')::date IS NULL OR business_day = sqlc.narg('business_day')::date)
ORDER BY id DESC
LIMIT @row_limit;
