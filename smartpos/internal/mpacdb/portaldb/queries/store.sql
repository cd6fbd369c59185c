-- name: InsertStore :exec
INSERT INTO portal.stores (id, psp_id, merchant_id, code, name, timezone, day_cutoff, price_mode, currency, address, phone, created_at, updated_at)
VALUES (@id, @psp_id, @merchant_id, @code, @name, @timezone, @day_cutoff, @price_mode, @currency, @address, @phone, @now, @now);

-- name: Store :one
SELECT * FROM portal.stores WHERE id = @id;

-- name: LockStore :one
SELECT * FROM portal.stores WHERE id = @id FOR UPDATE;

-- name: ListStores :many
SELECT * FROM portal.stores
WHERE (sqlc.narg(before)::uuid IS NULL OR id < sqlc.narg(before))
  AND (sqlc.narg(merchant_id)::uuid IS NULL OR merchant_id = sqlc.narg(merchant_id))
  AND (sqlc.narg(status)::text IS NULL OR status = sqlc.narg(status))
  AND (sqlc.narg(code)::text IS NULL OR lower(code) = lower(sqlc.narg(code)))
ORDER BY id DESC LIMIT @page_size;

-- name: UpdateStore :exec
UPDATE portal.stores
SET name = @name, timezone = @timezone, day_cutoff = @day_cutoff, price_mode = @price_mode, address = @address, phone = @phone,
    status = @status, version = version + 1, updated_at = @now
WHERE id = @id;
