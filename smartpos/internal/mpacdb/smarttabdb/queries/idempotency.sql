-- name: IdempotencyLock :exec
SELECT pg_advisory_xact_lock(hashtextextended(@caller::text || ' ' || @key::text, 20));

-- name: IdempotencyFind :one
-- The caller's use of the key since the instant that @since is the id floor of.
SELECT * FROM smarttab.idempotency
WHERE caller = $1 AND key = $2 AND id >= @since
ORDER BY id DESC
LIMIT 1;

-- name: IdempotencyInsert :exec
INSERT INTO smarttab.idempotency (id, merchant_id, store_id, caller, key, fingerprint, subject, status, body, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: IdempotencyFinish :execrows
UPDATE smarttab.idempotency SET status = @status, body = @body
WHERE id = @id AND status IS NULL;
