-- name: PostLedger :one
-- Writes the transaction unless its (kind, reference) is there; says whether it wrote.
WITH claimed AS (
    INSERT INTO pgw.ledger_references (partner_id, mode, kind, reference, transaction_id, lines)
    VALUES (@partner_id, @mode, @kind, @reference, @transaction_id, cardinality(@accounts::text[]))
    ON CONFLICT DO NOTHING
    RETURNING partner_id, mode, kind, reference, transaction_id
), posted AS (
    INSERT INTO pgw.ledger_lines (
        transaction_id, line, partner_id, mode, kind, reference, account, amount, currency, provider, contract_id, provider_store_id,
        merchant_id, merchant_store_id, payment_intent_id, attempt_id, refund_id, occurred_at, created_at)
    SELECT c.transaction_id, line, c.partner_id, c.mode, c.kind, c.reference,
        (@accounts::text[])[line], (@amounts::bigint[])[line], (@currencies::text[])[line],
        @provider, @contract_id, @provider_store_id, @merchant_id, @merchant_store_id, @payment_intent_id, @attempt_id, @refund_id,
        @occurred_at, @created_at
    FROM claimed c, generate_subscripts(@accounts::text[], 1) AS line
    RETURNING 1
)
SELECT count(*) > 0 AS written FROM posted;

-- name: LedgerTransaction :many
SELECT l.* FROM pgw.ledger_references r JOIN pgw.ledger_lines l ON l.transaction_id = r.transaction_id
WHERE r.partner_id = @partner_id AND r.mode = @mode AND r.kind = @kind AND r.reference = @reference
ORDER BY l.line;

-- name: LedgerBalances :many
-- An empty filter takes all; a time of NULL does not bound. Grouped down to the provider's store.
SELECT provider, contract_id, provider_store_id, currency, sum(amount)::bigint AS amount
FROM pgw.ledger_lines
WHERE partner_id = @partner_id AND mode = @mode AND account = @account
  AND (@provider::text = '' OR provider = @provider)
  AND (@contract_id::text = '' OR contract_id = @contract_id)
  AND (@provider_store_id::text = '' OR provider_store_id = @provider_store_id)
  AND occurred_at >= coalesce(sqlc.narg(occurred_from)::timestamptz, '-infinity')
  AND occurred_at < coalesce(sqlc.narg(occurred_to)::timestamptz, 'infinity')
GROUP BY provider, contract_id, provider_store_id, currency
ORDER BY provider, contract_id, provider_store_id, currency;

-- name: LedgerStoreBalance :one
-- One range of the index ledger_lines_balance.
SELECT coalesce(sum(amount), 0)::bigint AS amount
FROM pgw.ledger_lines
WHERE partner_id = @partner_id AND mode = @mode AND account = @account
  AND provider = @provider AND contract_id = @contract_id AND provider_store_id = @provider_store_id AND currency = @currency
  AND occurred_at >= coalesce(sqlc.narg(occurred_from)::timestamptz, '-infinity')
  AND occurred_at < coalesce(sqlc.narg(occurred_to)::timestamptz, 'infinity');

-- name: LedgerLinesOfIntent :many
SELECT * FROM pgw.ledger_lines WHERE payment_intent_id = @payment_intent_id AND partner_id = @partner_id AND mode = @mode
ORDER BY transaction_id, line;
