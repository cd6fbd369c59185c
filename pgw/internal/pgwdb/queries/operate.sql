-- name: UnknownAttempts :many
-- For people: payments whose outcome is unknown, the longest first: what UnknownOutcomes counts.
SELECT a.id, a.payment_intent_id, a.partner_id, a.mode, a.merchant_id, a.merchant_store_id, a.provider, a.contract_id, a.status, a.amount, a.currency, a.asks,
    a.status_since, a.operator_at
FROM pgw.payment_intents i JOIN pgw.payment_attempts a ON a.id = i.live_attempt_id
WHERE i.due_at IS NOT NULL
  AND (a.operator_at IS NOT NULL OR (a.asks > 0 AND a.status IN ('creating', 'charging', 'capturing', 'ending')))
  AND a.status_since < @since::timestamptz
ORDER BY a.status_since, a.id LIMIT @max_rows;

-- name: LateAttempts :many
-- For people: what providers took after it was given up, with the money's way back, the newest first. @from_id bounds it.
SELECT a.id, a.payment_intent_id, a.merchant_id, a.merchant_store_id, a.provider, a.captured_amount, a.currency, a.late_success_at,
    coalesce(r.id, '')::text AS return_id, coalesce(r.status, '')::text AS return_status
FROM pgw.payment_attempts a
LEFT JOIN pgw.refunds r ON r.attempt_id = a.id AND r.kind = 'return' AND r.id >= @return_from_id
WHERE a.late_success_at >= @since::timestamptz AND a.id >= @from_id
ORDER BY a.late_success_at DESC, a.id LIMIT @max_rows;

-- name: OpenExceptions :many
-- For people: what of reconciliation is open, of every partner, the oldest first.
SELECT x.id, x.partner_id, x.provider, x.contract_id, x.kind, x.at_stake, coalesce(x.gateway_currency, x.provider_currency, '')::text AS currency,
    coalesce(x.payment_intent_id, '')::text AS payment_intent_id, coalesce(x.reference, x.gateway_id, '')::text AS reference,
    coalesce(x.provider_store_id, '')::text AS provider_store_id, x.reason, x.occurred_at, x.opened_day, x.created_at
FROM pgw.recon_exceptions x WHERE x.status = 'open' ORDER BY x.created_at, x.id LIMIT @max_rows;

-- name: RecentRuns :many
-- For people: runs of every partner of the days from which @from_id is the first possible id.
SELECT r.id, r.provider, r.contract_id, r.day, r.status, r.stage, coalesce(r.error, '')::text AS error, r.tries, r.started_at, r.finished_at
FROM pgw.recon_runs r WHERE r.id >= @from_id ORDER BY r.day DESC, r.id LIMIT 1000;
