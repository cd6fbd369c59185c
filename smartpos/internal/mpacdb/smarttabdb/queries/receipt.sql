-- name: InsertReceipt :exec
INSERT INTO smarttab.receipt (id, merchant_id, store_id, number, kind, payment_id, refund_id, issued_at, data)
VALUES (@id, @merchant_id, @store_id, @number, @kind, @payment_id, @refund_id, @issued_at, @data);

-- name: InsertReceiptNumber :exec
INSERT INTO smarttab.receipt_number (store_id, number, merchant_id, receipt_id)
VALUES (@store_id, @number, @merchant_id, @receipt_id);

-- name: ReceiptIDsByNumber :many
-- One in a store; a merchant's stores may each have one.
SELECT receipt_id
FROM smarttab.receipt_number
WHERE number = @number AND (sqlc.narg(store_id)::uuid IS NULL OR store_id = sqlc.narg(store_id))
LIMIT 2;

-- name: GetReceipt :one
SELECT * FROM smarttab.receipt WHERE id = @id;

-- name: ListReceipts :many
SELECT *
FROM smarttab.receipt
WHERE payment_id = @payment_id AND id >= @since AND number > @after::text
ORDER BY number
LIMIT @max_rows;
