-- name: InsertRefund :exec
INSERT INTO smarttab.refund (id, merchant_id, store_id, payment_id, bill_id, status, version, currency, amount, reason,
    actor_kind, actor_ref, occurred_at, created_at, updated_at)
VALUES (@id, @merchant_id, @store_id, @payment_id, @bill_id, 'pending', 1, @currency, @amount, @reason,
    @actor_kind, @actor_ref, @created_at, @created_at, @created_at);

-- name: GetRefund :one
SELECT * FROM smarttab.refund WHERE id = @id;

-- name: LockRefund :one
SELECT * FROM smarttab.refund WHERE id = @id FOR NO KEY UPDATE;

-- name: RefundsOfPayments :many
-- No refund is older than its payment: @since bounds the partitions.
SELECT * FROM smarttab.refund WHERE payment_id = ANY(@payment_ids::uuid[]) AND id >= @since ORDER BY id;

-- name: UpdateRefund :execrows
UPDATE smarttab.refund
SET status = @status, version = version + 1, gateway_refund_id = @gateway_refund_id, gateway_version = @gateway_version,
    failure_code = @failure_code, failure_message = @failure_message, tax_lines = @tax_lines,
    settlement_id = @settlement_id, receipt_number = @receipt_number, updated_at = @updated_at, ended_at = @ended_at,
    reported_at = @reported_at
WHERE id = @id AND version = @version;

-- name: RefundTenants :many
SELECT id, payment_id, merchant_id, store_id FROM smarttab.refund WHERE id = ANY(@ids::uuid[]);

-- name: LostRefunds :many
-- Refunds that the gateway has not heard of, and no job may be telling it any more.
SELECT id, payment_id, merchant_id, store_id
FROM smarttab.refund
WHERE id >= @since AND reported_at IS NULL AND status <> 'failed' AND created_at < @before AND id <> ALL(@skip::uuid[])
ORDER BY id
LIMIT @max_rows;

-- name: OverdueRefunds :many
-- Refunds at the gateway of which it should have told the end.
SELECT id, payment_id, merchant_id, store_id
FROM smarttab.refund
WHERE id >= @since AND status IN ('pending', 'processing') AND reported_at IS NOT NULL AND updated_at < @before
  AND id <> ALL(@skip::uuid[])
ORDER BY id
LIMIT @max_rows;
