-- name: InsertTerminal :one
INSERT INTO portal.terminals (id, psp_id, merchant_id, store_id, number, serial_number, model, name, created_at, updated_at)
VALUES (@id, @psp_id, @merchant_id, @store_id, @number, @serial_number, @model, @name, @now, @now)
RETURNING *;

-- name: NextTerminalNumber :one
-- Under the store's lock.
SELECT (coalesce(max(number), 0) + 1)::integer FROM portal.terminals WHERE store_id = @store_id;

-- name: Terminal :one
SELECT * FROM portal.terminals WHERE id = @id;

-- name: LockTerminal :one
SELECT * FROM portal.terminals WHERE id = @id FOR UPDATE;

-- name: TerminalByClient :one
-- With the state of the tenants above it: a terminal of a closed store gets no token.
SELECT sqlc.embed(t), (p.status = 'active' AND m.status = 'active' AND s.status = 'active')::boolean AS tenant_active
FROM portal.terminals t JOIN portal.stores s ON s.id = t.store_id JOIN portal.merchants m ON m.id = t.merchant_id JOIN portal.psps p ON p.id = t.psp_id
WHERE t.client_id = @client_id;

-- name: ListTerminals :many
SELECT * FROM portal.terminals
WHERE (sqlc.narg(before)::uuid IS NULL OR id < sqlc.narg(before))
  AND (sqlc.narg(merchant_id)::uuid IS NULL OR merchant_id = sqlc.narg(merchant_id))
  AND (sqlc.narg(store_id)::uuid IS NULL OR store_id = sqlc.narg(store_id))
  AND (sqlc.narg(asset_status)::text IS NULL OR asset_status = sqlc.narg(asset_status))
  AND (sqlc.narg(serial_number)::text IS NULL OR serial_number = sqlc.narg(serial_number))
ORDER BY id DESC LIMIT @page_size;

-- name: UpdateTerminal :exec
UPDATE portal.terminals
SET name = @name, model = @model, asset_status = @asset_status, client_id = sqlc.narg(client_id), public_key = sqlc.narg(public_key),
    activated_at = sqlc.narg(activated_at), version = version + 1, updated_at = @now
WHERE id = @id;

-- name: InsertActivationCode :exec
INSERT INTO portal.activation_codes (code_hash, terminal_id, created_at, created_by, expires_at)
VALUES (@code_hash, @terminal_id, @now, @created_by, @expires_at);

-- name: RevokeActivationCodes :exec
UPDATE portal.activation_codes SET revoked_at = @now WHERE terminal_id = @terminal_id AND used_at IS NULL AND revoked_at IS NULL;

-- name: CountActivationCodes :one
SELECT count(*) FROM portal.activation_codes WHERE terminal_id = @terminal_id AND created_at > @since;

-- name: ActivationCode :one
SELECT * FROM portal.activation_codes WHERE code_hash = @code_hash;

-- name: LockActivationCode :one
-- The row's lock makes one of several who show the code at once the first.
SELECT * FROM portal.activation_codes WHERE code_hash = @code_hash FOR UPDATE;

-- name: UseActivationCode :exec
UPDATE portal.activation_codes SET used_at = @now WHERE code_hash = @code_hash;

-- name: InsertAssertion :exec
INSERT INTO portal.client_assertions (client_id, jti, expires_at) VALUES (@client_id, @jti, @expires_at);
