-- name: AppendEvent :exec
SELECT pgw.event_append(
    @id::text, @partner_id::text, @mode::text, @merchant_id::text, @payment_intent_id::text, @version::bigint, @type::text,
    @data::json, sqlc.narg(traceparent)::text, @created_at::timestamptz);
