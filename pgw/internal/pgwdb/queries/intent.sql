-- name: CreateIntent :execrows
-- The intent, its reference, its event, the idempotency key with its answer and the signature: all or nothing, in one round
-- trip. No row: the merchant or the store is not there or not active, or the key was used before midnight. A unique
-- violation: look up which.
WITH merchant AS (
    SELECT m.id FROM pgw.merchants m
    WHERE m.partner_id = @partner_id AND m.mode = @mode AND m.id = @merchant_id AND m.status = 'active'
      AND (sqlc.narg(merchant_store_id)::text IS NULL OR EXISTS (
          SELECT FROM pgw.stores s WHERE s.partner_id = m.partner_id AND s.mode = m.mode AND s.merchant_id = m.id
            AND s.id = sqlc.narg(merchant_store_id) AND s.status = 'active'))
      AND NOT EXISTS (SELECT FROM pgw.idempotency_keys k WHERE k.id = @yesterdays_key_id AND k.created_at > @oldest_key_at)
), key AS (
    INSERT INTO pgw.idempotency_keys (id, partner_id, mode, fingerprint, state, answer, created_at, finished_at)
    SELECT @key_id, @partner_id, @mode, @fingerprint, 'finished', @answer, @created_at, @created_at FROM merchant
), signature AS (
    INSERT INTO pgw.request_signatures (id, partner_id, mode, key_hash)
    SELECT @signature_id, @partner_id, @mode, @key_hash FROM merchant
), ref AS (
    INSERT INTO pgw.merchant_refs (partner_id, mode, merchant_id, merchant_ref_id, payment_intent_id)
    SELECT @partner_id, @mode, @merchant_id, @merchant_ref_id, @id FROM merchant
), intent AS (
    INSERT INTO pgw.payment_intents (
        id, partner_id, mode, merchant_id, merchant_store_id, merchant_terminal_id, merchant_ref_id, status, version, amount, currency,
        payment_method_types, capture_method, description, metadata, expires_at, created_at, updated_at, token_hashes, due_at)
    SELECT @id, @partner_id, @mode, @merchant_id, sqlc.narg(merchant_store_id), sqlc.narg(merchant_terminal_id), @merchant_ref_id,
        'requires_payment_method', 1, @amount, @currency, @payment_method_types, @capture_method, sqlc.narg(description), @metadata,
        @expires_at, @created_at, @created_at, ARRAY[@token_hash::bytea], @expires_at
    FROM merchant
    RETURNING id
)
SELECT told.* FROM intent, pgw.event_append(
    @event_id::text, @partner_id::text, @mode::text, @merchant_id::text, @id::text, 1::bigint, 'payment_intent.created',
    @event_data::json, sqlc.narg(traceparent)::text, @created_at::timestamptz) AS told;

-- name: IntentByRef :one
SELECT payment_intent_id FROM pgw.merchant_refs
WHERE partner_id = @partner_id AND mode = @mode AND merchant_id = @merchant_id AND merchant_ref_id = @merchant_ref_id;

-- name: Intent :one
SELECT * FROM pgw.payment_intents WHERE id = @id;

-- name: LockIntent :one
SELECT * FROM pgw.payment_intents WHERE id = @id FOR NO KEY UPDATE;

-- name: ListIntents :many
-- Newest first. Empty filters take all; ids carry their time, so the created range is a range of ids.
SELECT * FROM pgw.payment_intents
WHERE partner_id = @partner_id AND mode = @mode AND id < @before AND id >= @from_id
  AND (@merchant_id::text = '' OR merchant_id = @merchant_id)
  AND (@merchant_store_id::text = '' OR merchant_store_id = @merchant_store_id)
  AND (@status::text = '' OR status = @status)
  AND (@merchant_ref_id::text = '' OR merchant_ref_id = @merchant_ref_id)
  AND (sqlc.narg(updated_from)::timestamptz IS NULL OR updated_at >= sqlc.narg(updated_from))
  AND (sqlc.narg(updated_to)::timestamptz IS NULL OR updated_at < sqlc.narg(updated_to))
ORDER BY id DESC
LIMIT @page;

-- name: SaveIntent :execrows
-- No row when somebody else has changed it since @seen_version was read.
UPDATE pgw.payment_intents SET
    status = @status, version = @version, captured_amount = @captured_amount, refunded_amount = @refunded_amount,
    refund_reserved = @refund_reserved, payment_method_type = sqlc.narg(payment_method_type), processing_mode = sqlc.narg(processing_mode),
    provider = sqlc.narg(provider), live_attempt_id = sqlc.narg(live_attempt_id), latest_attempt_id = sqlc.narg(latest_attempt_id),
    provider_payment_id = sqlc.narg(provider_payment_id), qr_content = sqlc.narg(qr_content), qr_code_url = sqlc.narg(qr_code_url),
    qr_expires_at = sqlc.narg(qr_expires_at), cash_tendered = sqlc.narg(cash_tendered), card = sqlc.narg(card),
    failure_code = sqlc.narg(failure_code), failure_message = sqlc.narg(failure_message),
    cancellation_reason = sqlc.narg(cancellation_reason), cancel_requested_at = sqlc.narg(cancel_requested_at),
    occurred_at = sqlc.narg(occurred_at), updated_at = @updated_at, succeeded_at = sqlc.narg(succeeded_at),
    finalized_at = sqlc.narg(finalized_at), token_hashes = @token_hashes, due_at = sqlc.narg(due_at)
WHERE id = @id AND version = @seen_version;

-- name: StepIntent :execrows
-- A state on the way to the one that SaveIntent writes in the same transaction.
UPDATE pgw.payment_intents SET status = @status, version = @version, updated_at = @updated_at WHERE id = @id AND version = @seen_version;

-- name: ClaimDueIntents :many
-- Takes what is due on a lease: whoever dies with it leaves it due again when the lease is over. @from_id leaves old days'
-- partitions alone.
UPDATE pgw.payment_intents SET due_at = @lease_until
WHERE id IN (SELECT p.id FROM pgw.payment_intents p WHERE p.due_at <= @now AND p.id >= @from_id ORDER BY p.due_at LIMIT @many FOR UPDATE SKIP LOCKED)
  AND id >= @from_id
RETURNING id, partner_id, mode;

-- name: RenewIntentLease :exec
UPDATE pgw.payment_intents SET due_at = @lease_until WHERE id = @id AND due_at IS NOT NULL AND due_at < @lease_until;

-- name: RaiseIntentVersions :many
-- For changes that are told of an intent without changing its state.
UPDATE pgw.payment_intents SET version = version + 1, updated_at = @updated_at WHERE id = ANY (@ids::text[]) RETURNING *;

-- name: CreateAttempt :exec
INSERT INTO pgw.payment_attempts (
    id, payment_intent_id, partner_id, mode, merchant_id, merchant_store_id, provider, contract_id, provider_store_id,
    payment_method_type, status, status_since, amount, currency, capture_later, confirm_key_id, traceparent,
    created_at, updated_at)
VALUES (
    @id, @payment_intent_id, @partner_id, @mode, @merchant_id, @merchant_store_id, @provider, @contract_id, @provider_store_id,
    @payment_method_type, @status, @created_at, @amount, @currency, @capture_later, @confirm_key_id, sqlc.narg(traceparent),
    @created_at, @created_at);

-- name: Attempt :one
SELECT * FROM pgw.payment_attempts WHERE id = @id;

-- name: AttemptByProviderPayment :one
SELECT * FROM pgw.payment_attempts WHERE provider = @provider AND provider_payment_id = @provider_payment_id ORDER BY id DESC LIMIT 1;

-- name: LockAttempt :one
SELECT * FROM pgw.payment_attempts WHERE id = @id FOR NO KEY UPDATE;

-- name: SaveAttempt :execrows
UPDATE pgw.payment_attempts SET
    status = @status, status_since = @status_since, captured_amount = @captured_amount, code_id = sqlc.narg(code_id),
    code_expires_at = sqlc.narg(code_expires_at), provider_payment_id = sqlc.narg(provider_payment_id),
    provider_accepted_at = sqlc.narg(provider_accepted_at), authorized_at = sqlc.narg(authorized_at),
    code_deleted_at = sqlc.narg(code_deleted_at), cancel_sent_at = sqlc.narg(cancel_sent_at), cancel_accepted_at = sqlc.narg(cancel_accepted_at),
    cancel_refused_at = sqlc.narg(cancel_refused_at), capture_amount = sqlc.narg(capture_amount), capture_tries = @capture_tries,
    asks = @asks, operator_at = sqlc.narg(operator_at), failure_code = sqlc.narg(failure_code),
    failure_message = sqlc.narg(failure_message), late_success_at = sqlc.narg(late_success_at),
    confirm_key_id = sqlc.narg(confirm_key_id), second_key_id = sqlc.narg(second_key_id), updated_at = @updated_at
WHERE id = @id;

-- name: UnknownOutcomes :many
-- How many are being chased by provider.
SELECT a.provider, count(*) AS chased, min(a.status_since)::timestamptz AS since
FROM pgw.payment_intents i JOIN pgw.payment_attempts a ON a.id = i.live_attempt_id
WHERE i.due_at IS NOT NULL
  AND (a.operator_at IS NOT NULL OR (a.asks > 0 AND a.status IN ('creating', 'charging', 'capturing', 'ending')))
GROUP BY a.provider;
