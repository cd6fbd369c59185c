-- name: DayNumber :one
-- The next number of a series of the store's business day. The row stays locked until the commit.
INSERT INTO smarttab.day_counter (store_id, business_day, series, merchant_id, last)
VALUES (@store_id, @business_day, @series, @merchant_id, 1)
ON CONFLICT (store_id, business_day, series) DO UPDATE SET last = smarttab.day_counter.last + 1
RETURNING last;

-- name: OrderInsert :exec
INSERT INTO smarttab.orders (id, merchant_id, store_id, number, business_day, status, version, order_type, table_name, note,
    currency, price_mode, rounding, subtotal, tax_lines, tax, total, next_sequence, actor_kind, actor_ref, created_at, updated_at)
VALUES (@id, @merchant_id, @store_id, @number, @business_day, 'open', 1, @order_type, @table_name, @note,
    @currency, @price_mode, @rounding, @subtotal, @tax_lines, @tax, @total, @next_sequence, @actor_kind, @actor_ref, @created_at, @created_at);

-- name: OrderItemsInsert :exec
INSERT INTO smarttab.order_item (order_id, id, merchant_id, store_id, sequence, name, quantity, unit_price, tax_class, tax_rate,
    options, notes, amount)
SELECT @order_id, unnest(@ids::uuid[]), @merchant_id, @store_id, unnest(@sequences::integer[]), unnest(@names::text[]),
    unnest(@quantities::bigint[]), unnest(@unit_prices::bigint[]), unnest(@tax_classes::text[]), unnest(@tax_rates::integer[]),
    unnest(@options::text[])::jsonb, unnest(@notes::text[]), unnest(@amounts::bigint[]);

-- name: OrderItemsDelete :exec
DELETE FROM smarttab.order_item WHERE order_id = $1;

-- name: OrderGet :one
SELECT * FROM smarttab.orders WHERE id = $1;

-- name: OrderLock :one
SELECT * FROM smarttab.orders WHERE id = $1 FOR NO KEY UPDATE;

-- name: OrdersLock :many
-- Always in the order of the ids: two that lock some of the same orders never wait for each other in a circle.
SELECT * FROM smarttab.orders WHERE id = ANY (@ids::uuid[]) ORDER BY id FOR NO KEY UPDATE;

-- name: OrderItems :many
SELECT * FROM smarttab.order_item WHERE order_id = ANY (@order_ids::uuid[]) ORDER BY order_id, sequence;

-- name: OrderUpdate :exec
UPDATE smarttab.orders
SET version = version + 1, order_type = @order_type, table_name = @table_name, note = @note, subtotal = @subtotal,
    tax_lines = @tax_lines, tax = @tax, total = @total, next_sequence = @next_sequence, updated_at = @updated_at
WHERE id = @id;

-- name: OrdersMove :many
-- Moves orders to another state: with a bill when billed or completed, without one else. Returns their types.
UPDATE smarttab.orders
SET version = version + 1, status = @status, bill_id = sqlc.narg('bill_id'), updated_at = @at::timestamptz,
    completed_at = CASE WHEN @status = 'completed' THEN @at::timestamptz END,
    cancelled_at = CASE WHEN @status = 'cancelled' THEN @at::timestamptz END
WHERE id = ANY (@ids::uuid[])
RETURNING order_type;

-- name: OrderList :many
SELECT * FROM smarttab.orders
WHERE store_id = @store_id
  AND (sqlc.narg('before')::uuid IS NULL OR id < sqlc.narg('before')::uuid)
  AND (@status::text = '' OR status = @status::text)
  AND (sqlc.narg('business_day')::date IS NULL OR business_day = sqlc.narg('business_day')::date)
  AND (@table_name::text = '' OR table_name = @table_name::text)
ORDER BY id DESC
LIMIT @row_limit;
