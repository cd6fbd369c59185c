-- name: InsertPayment :exec
INSERT INTO smarttab.payment (id, merchant_id, store_id, bill_id, split_id, method, provider, status, version, currency, amount,
    tendered, change, card, expires_at, actor_kind, actor_ref, occurred_at, created_at, updated_at)
VALUES (@id, @merchant_id, @store_id, @bill_id, @split_id, @method, @provider, 'pending', 1, @currency, @amount,
    @tendered, @change, @card, @expires_at, @actor_kind, @actor_ref, @occurred_at, @created_at, @created_at);

-- name: GetPayment :one
SELECT * FROM smarttab.payment WHERE id = @id;

-- name: LockPayment :one
SELECT * FROM smarttab.payment WHERE id = @id FOR NO KEY UPDATE;

-- name: ListPayments :many
-- @since bounds the partitions that are looked at: of one bill, no payment is older than the bill.
SELECT *
FROM smarttab.payment
WHERE id >= @since
  AND (sqlc.narg(bill_id)::uuid IS NULL OR bill_id = sqlc.narg(bill_id))
  AND (sqlc.narg(store_id)::uuid IS NULL OR store_id = sqlc.narg(store_id))
  AND (sqlc.narg(status)::text IS NULL OR status = sqlc.narg(status))
  AND (sqlc.narg(method)::text IS NULL OR method = sqlc.narg(method))
  AND (sqlc.narg(before)::uuid IS NULL OR id < sqlc.narg(before))
ORDER BY id DESC
LIMIT @max_rows;

-- name: UpdatePayment :execrows
-- Writes what may change of a payment. The version that was read guards it; the table's trigger holds the edges.
UPDATE smarttab.payment
SET status = @status, version = version + 1, refunded_amount = @refunded_amount, refunding_amount = @refunding_amount,
    card = @card, failure_code = @failure_code, failure_message = @failure_message,
    occurred_at = @occurred_at, intent_id = @intent_id, intent_version = @intent_version, expires_at = @expires_at, tax_lines = @tax_lines, discount = @discount,
    settlement_id = @settlement_id, receipt_number = @receipt_number, updated_at = @updated_at,
    completed_at = @completed_at, ended_at = @ended_at, cancel_requested_at = @cancel_requested_at,
    late_success_at = @late_success_at, reconciled_at = @reconciled_at, reported_at = @reported_at
WHERE id = @id AND version = @version;

-- name: PaymentTenants :many
-- Whose payments these are: for the feed, which must find the tenant before it may act for it.
SELECT id, merchant_id, store_id FROM smarttab.payment WHERE id = ANY(@ids::uuid[]);

-- name: PaymentTenantsByIntent :many
SELECT intent_id::text AS intent_id, id, merchant_id, store_id FROM smarttab.payment WHERE intent_id = ANY(@intent_ids::text[]);

-- name: LostWalletPayments :many
-- QR payments that no job may be working on any more: without an intent, or with a cancel that was asked for.
SELECT id, merchant_id, store_id
FROM smarttab.payment
WHERE id >= @since AND method = 'qr' AND status IN ('pending', 'processing')
  AND (intent_id IS NULL OR cancel_requested_at IS NOT NULL) AND updated_at < @before AND id <> ALL(@skip::uuid[])
ORDER BY id
LIMIT @max_rows;

-- name: UnreportedPayments :many
-- Cash and cards that the gateway has not heard of.
SELECT id, merchant_id, store_id
FROM smarttab.payment
WHERE id >= @since AND method <> 'qr' AND reported_at IS NULL AND ended_at IS NOT NULL AND ended_at < @before
  AND id <> ALL(@skip::uuid[])
ORDER BY id
LIMIT @max_rows;

-- name: OverduePayments :many
-- QR payments of which the gateway should have told the end.
SELECT id, merchant_id, store_id
FROM smarttab.payment
WHERE method = 'qr' AND status IN ('pending', 'processing') AND id >= @since AND expires_at < @before
  AND id <> ALL(@skip::uuid[])
ORDER BY expires_at
LIMIT @max_rows;

-- name: LongOpenPayments :many
-- For people: payments of all stores that began before @before and have not ended.
SELECT p.id, p.merchant_id, p.store_id, s.code AS store_code, p.method, p.status, p.amount, p.currency, p.created_at,
       coalesce(p.intent_id, '')::text AS intent_id, p.cancel_requested_at
FROM smarttab.payment p JOIN portal.stores s ON s.id = p.store_id
WHERE p.status IN ('pending', 'processing') AND p.created_at < @before::timestamptz
ORDER BY p.id
LIMIT @max_rows;
