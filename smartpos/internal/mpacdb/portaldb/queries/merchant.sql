-- name: InsertMerchant :exec
INSERT INTO portal.merchants (id, psp_id, code, name, invoice_registration_number, tax_rounding, created_at, updated_at)
VALUES (@id, @psp_id, @code, @name, @invoice_registration_number, @tax_rounding, @now, @now);

-- name: Merchant :one
SELECT * FROM portal.merchants WHERE id = @id;

-- name: LockMerchant :one
SELECT * FROM portal.merchants WHERE id = @id FOR UPDATE;

-- name: ListMerchants :many
SELECT * FROM portal.merchants
WHERE (sqlc.narg(before)::uuid IS NULL OR id < sqlc.narg(before))
  AND (sqlc.narg(psp_id)::uuid IS NULL OR psp_id = sqlc.narg(psp_id))
  AND (sqlc.narg(status)::text IS NULL OR status = sqlc.narg(status))
  AND (sqlc.narg(code)::text IS NULL OR lower(code) = lower(sqlc.narg(code)))
ORDER BY id DESC LIMIT @page_size;

-- name: UpdateMerchant :exec
UPDATE portal.merchants
SET name = @name, invoice_registration_number = @invoice_registration_number, tax_rounding = @tax_rounding, status = @status,
    version = version + 1, updated_at = @now
WHERE id = @id;
