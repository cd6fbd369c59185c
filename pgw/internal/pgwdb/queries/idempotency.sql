-- name: IdempotencyKeys :many
-- The key of today and of yesterday, the newer first.
SELECT * FROM pgw.idempotency_keys WHERE id = ANY (@ids::text[]) AND created_at > @oldest ORDER BY id DESC;

-- name: IdempotencyKey :one
SELECT * FROM pgw.idempotency_keys WHERE id = @id;

-- name: BeginIdempotencyKey :one
-- began: the key was free; whoever holds it uncommitted was waited for. fresh: so was the signature.
WITH key AS (
    INSERT INTO pgw.idempotency_keys (id, partner_id, mode, fingerprint, state, created_at)
    SELECT @id, @partner_id, @mode, @fingerprint, 'running', @created_at
    WHERE NOT EXISTS (SELECT FROM pgw.idempotency_keys k WHERE k.id = @yesterdays_id AND k.created_at > @oldest)
    ON CONFLICT DO NOTHING RETURNING 1
), signature AS (
    INSERT INTO pgw.request_signatures (id, partner_id, mode, key_hash)
    SELECT @signature_id::text, @partner_id, @mode, @key_hash WHERE @signature_id::text <> '' AND EXISTS (SELECT FROM key)
    ON CONFLICT DO NOTHING RETURNING 1
)
SELECT EXISTS (SELECT FROM key)::boolean AS began, coalesce(@signature_id::text = '' OR EXISTS (SELECT FROM signature), false)::boolean AS fresh;

-- name: RememberSignature :exec
INSERT INTO pgw.request_signatures (id, partner_id, mode, key_hash) VALUES (@id, @partner_id, @mode, @key_hash)
ON CONFLICT DO NOTHING;

-- name: SignatureKey :one
-- The key that the signature came with first.
SELECT key_hash FROM pgw.request_signatures WHERE id = @id;

-- name: FinishIdempotencyKey :execrows
UPDATE pgw.idempotency_keys SET state = 'finished', answer = @answer, finished_at = @finished_at
WHERE id = @id AND state = 'running';

-- name: DropIdempotencyKey :exec
-- For a call that the provider did not take: the same key may try again.
DELETE FROM pgw.idempotency_keys WHERE id = @id AND state = 'running';
