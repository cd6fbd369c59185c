-- name: CreateRefund :exec
INSERT INTO pgw.refunds (
    id, kind, partner_id, mode, merchant_id, merchant_store_id, payment_intent_id, attempt_id, provider, contract_id,
    merchant_refund_ref_id, amount, currency, status, status_since, version, reason, key_id, occurred_at, created_at, updated_at, due_at,
    traceparent)
VALUES (
    @id, @kind, @partner_id, @mode, @merchant_id, sqlc.narg(merchant_store_id), @payment_intent_id, sqlc.narg(attempt_id),
    sqlc.narg(provider), sqlc.narg(contract_id), sqlc.narg(merchant_refund_ref_id), @amount, @currency, 'pending', @created_at, 1,
    sqlc.narg(reason), sqlc.narg(key_id), sqlc.narg(occurred_at), @created_at, @created_at, @due_at,
    sqlc.narg(traceparent));

-- name: TakeRefundRef :one
-- The refund that has the reference: the given one, or an earlier one.
WITH put AS (
    INSERT INTO pgw.merchant_refund_refs (partner_id, mode, merchant_id, merchant_refund_ref_id, refund_id)
    VALUES (@partner_id, @mode, @merchant_id, @merchant_refund_ref_id, @refund_id)
    ON CONFLICT DO NOTHING RETURNING refund_id
)
SELECT refund_id FROM put UNION ALL
SELECT r.refund_id FROM pgw.merchant_refund_refs r
WHERE r.partner_id = @partner_id AND r.mode = @mode AND r.merchant_id = @merchant_id AND r.merchant_refund_ref_id = @merchant_refund_ref_id
LIMIT 1;

-- name: Refund :one
SELECT * FROM pgw.refunds WHERE id = @id;

-- name: LockRefund :one
SELECT * FROM pgw.refunds WHERE id = @id FOR NO KEY UPDATE;

-- name: SaveRefund :execrows
UPDATE pgw.refunds SET
    status = @status, status_since = @status_since, version = @version, failure_code = sqlc.narg(failure_code),
    failure_message = sqlc.narg(failure_message), provider_refund_id = sqlc.narg(provider_refund_id),
    provider_accepted_at = sqlc.narg(provider_accepted_at), asks = @asks, operator_at = sqlc.narg(operator_at),
    key_id = sqlc.narg(key_id), updated_at = @updated_at, due_at = sqlc.narg(due_at)
WHERE id = @id AND version = @seen_version;

-- name: ListRefunds :many
-- Newest first; pgw's own returns of late successes are not the partner's refunds.
SELECT * FROM pgw.refunds
WHERE partner_id = @partner_id AND mode = @mode AND kind = 'refund' AND id < @before
  AND (@payment_intent_id::text = '' OR payment_intent_id = @payment_intent_id)
  AND (@merchant_id::text = '' OR merchant_id = @merchant_id)
  AND (@status::text = '' OR status = @status)
ORDER BY id DESC
LIMIT @page;

-- name: ClaimDueRefunds :many
UPDATE pgw.refunds SET due_at = @lease_until
WHERE id IN (SELECT p.id FROM pgw.refunds p WHERE p.due_at <= @now ORDER BY p.due_at LIMIT @many FOR UPDATE SKIP LOCKED)
RETURNING id, partner_id, mode;

-- name: RenewRefundLease :exec
UPDATE pgw.refunds SET due_at = @lease_until WHERE id = @id AND due_at IS NOT NULL AND due_at < @lease_until;
