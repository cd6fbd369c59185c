-- name: OperatorItems :many
-- What waits for a person, the longest first, with the proposal that waits for a second one.
SELECT sqlc.embed(i), r.id AS resolution_id, r.outcome, r.proposed_by, r.proposed_by_name, r.proposed_at, n.status AS intent_status
FROM pgw.operator_items i
JOIN pgw.payment_intents n ON n.id = i.payment_intent_id
LEFT JOIN pgw.resolutions r ON r.item_id = i.id AND r.state = 'proposed'
WHERE (@provider::text = '' OR i.provider = @provider)
ORDER BY i.operator_at, i.id;

-- name: OperatorItem :one
SELECT * FROM pgw.operator_items WHERE id = @id;

-- name: OperatorNeeded :many
-- How many items wait for a person, by provider.
SELECT i.provider::text AS provider, count(*) AS items FROM pgw.operator_items i GROUP BY 1;

-- name: ResolvedItems :many
-- How many items two people have settled, ever.
SELECT provider, outcome, count(*) AS items FROM pgw.resolutions WHERE state = 'approved' GROUP BY provider, outcome;

-- name: ItemPlace :one
-- Whose an attempt or a refund is, and of which payment.
SELECT a.partner_id, a.mode, a.payment_intent_id, a.status FROM pgw.payment_attempts a WHERE a.id = @id
UNION ALL
SELECT r.partner_id, r.mode, r.payment_intent_id, r.status FROM pgw.refunds r WHERE r.id = @id;

-- name: ProviderPaymentHolder :one
-- Another attempt that the item's provider knows by this id, whoever's; empty: none.
SELECT coalesce(pgw.provider_payment_holder(@item_id, @provider_payment_id, @mode), '')::text AS holder;

-- name: ProviderRefundHolder :one
-- Another refund of the payment that the provider knows by this id.
SELECT r.id FROM pgw.refunds r
WHERE r.payment_intent_id = @payment_intent_id AND r.provider_refund_id = @provider_refund_id AND r.id <> @id
LIMIT 1;

-- name: CreateResolution :one
-- No row when the item has a proposal already.
INSERT INTO pgw.resolutions (
    id, partner_id, mode, kind, item_id, payment_intent_id, provider, outcome, amount, currency, provider_payment_id, provider_refund_id,
    accepted_at, evidence, evidence_at, evidence_from, state, proposed_by, proposed_by_name, proposed_from, proposed_at)
VALUES (
    @id, @partner_id, @mode, @kind, @item_id, @payment_intent_id, @provider, @outcome, @amount, @currency, sqlc.narg(provider_payment_id),
    sqlc.narg(provider_refund_id), sqlc.narg(accepted_at), @evidence, @evidence_at, @evidence_from, 'proposed', @proposed_by, @proposed_by_name,
    @proposed_from, @proposed_at)
ON CONFLICT (item_id) WHERE state = 'proposed' DO NOTHING
RETURNING *;

-- name: OpenResolution :one
SELECT * FROM pgw.resolutions WHERE item_id = @item_id AND state = 'proposed';

-- name: Resolution :one
SELECT * FROM pgw.resolutions WHERE id = @id;

-- name: LockResolution :one
SELECT * FROM pgw.resolutions WHERE id = @id FOR NO KEY UPDATE;

-- name: DecideResolution :one
UPDATE pgw.resolutions SET
    state = @state, decided_by = @decided_by, decided_by_name = @decided_by_name, decided_from = @decided_from, decided_at = @decided_at,
    note = sqlc.narg(note), item_status = @item_status, intent_status = @intent_status
WHERE id = @id
RETURNING *;

-- name: DecidedResolutions :many
-- The newest first.
SELECT * FROM pgw.resolutions WHERE state <> 'proposed' AND (@provider::text = '' OR provider = @provider) ORDER BY decided_at DESC, id DESC LIMIT sqlc.arg(max_rows)::int;
