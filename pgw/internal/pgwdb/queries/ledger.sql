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

-- name: LedgerUnbalanced :many
-- Transactions whose lines do not come to zero in a currency, with what their reference promised. Ids bound how far it looks;
-- an empty @until_id does not.
SELECT l.transaction_id, l.currency, sum(l.amount)::bigint AS off, count(*)::int AS lines, min(l.partner_id)::text AS partner_id, min(l.mode)::text AS mode,
    min(l.kind)::text AS kind, min(l.reference)::text AS reference, min(l.payment_intent_id COLLATE "C")::text AS payment_intent_id,
    coalesce((SELECT r.lines FROM pgw.ledger_references r WHERE r.partner_id = min(l.partner_id) AND r.mode = min(l.mode) AND r.kind = min(l.kind)
        AND r.reference = min(l.reference) AND r.transaction_id = l.transaction_id), 0)::int AS promised
FROM pgw.ledger_lines l
WHERE l.transaction_id >= @from_id AND (@until_id::text = '' OR l.transaction_id < @until_id::text)
GROUP BY l.transaction_id, l.currency HAVING sum(l.amount) <> 0
ORDER BY l.transaction_id LIMIT 1000;

-- name: LedgerStillUnbalanced :many
-- Those of the transactions that still do not come to zero.
SELECT l.transaction_id, sum(l.amount)::bigint AS off FROM pgw.ledger_lines l WHERE l.transaction_id = ANY(@ids::text[])
GROUP BY l.transaction_id, l.currency HAVING sum(l.amount) <> 0;

-- name: LedgerLinesOf :many
SELECT * FROM pgw.ledger_lines WHERE transaction_id = @transaction_id ORDER BY line;

-- name: LedgerPutLine :exec
-- Writes a line that is missing from a transaction, like another of its lines but for number, account and amount. The table's
-- triggers refuse it unless the transaction is then complete and comes to zero.
INSERT INTO pgw.ledger_lines (
    transaction_id, line, partner_id, mode, kind, reference, account, amount, currency, provider, contract_id, provider_store_id,
    merchant_id, merchant_store_id, payment_intent_id, attempt_id, refund_id, occurred_at, created_at)
SELECT l.transaction_id, @line, l.partner_id, l.mode, l.kind, l.reference, @account, @amount, l.currency, l.provider, l.contract_id, l.provider_store_id,
    l.merchant_id, l.merchant_store_id, l.payment_intent_id, l.attempt_id, l.refund_id, l.occurred_at, l.created_at
FROM pgw.ledger_lines l WHERE l.transaction_id = @transaction_id ORDER BY l.line LIMIT 1;

-- name: LedgerWatchNext :one
-- Where a round goes on; empty at its beginning.
SELECT coalesce((SELECT w.next_id FROM pgw.ledger_watch w WHERE w.round = @round), '')::text AS next_id;

-- name: LedgerFirst :one
SELECT coalesce(min(l.transaction_id), '')::text AS first_id FROM pgw.ledger_lines l;

-- name: LedgerStepEnd :one
-- The transaction that so many lines after @from_id belong to; @far_id when fewer lie before that. Never @from_id itself.
SELECT coalesce((
    SELECT l.transaction_id FROM pgw.ledger_lines l WHERE l.transaction_id > @from_id AND l.transaction_id < @far_id::text
    ORDER BY l.transaction_id OFFSET sqlc.arg(lines)::bigint LIMIT 1), @far_id::text)::text AS until_id;

-- name: LedgerWatched :exec
-- Notes where a round goes on; empty: it is at its end.
INSERT INTO pgw.ledger_watch AS w (round, next_id, whole_at) VALUES (@round, @next_id::text, CASE WHEN @next_id::text = '' THEN @at::timestamptz END)
ON CONFLICT (round) DO UPDATE SET next_id = excluded.next_id, whole_at = coalesce(excluded.whole_at, w.whole_at);

-- name: LedgerKeepImbalance :exec
INSERT INTO pgw.ledger_imbalances (transaction_id, partner_id, mode, off, found_at, looked_at)
VALUES (@transaction_id, @partner_id, @mode, @off, @at, @at)
ON CONFLICT (transaction_id) DO NOTHING;

-- name: LedgerImbalancesToLookAt :many
-- Those that were looked at longest ago.
SELECT i.transaction_id FROM pgw.ledger_imbalances i ORDER BY i.looked_at, i.transaction_id LIMIT 1000;

-- name: LedgerImbalanceLooked :exec
UPDATE pgw.ledger_imbalances SET off = @off, looked_at = @at WHERE transaction_id = @transaction_id;

-- name: LedgerImbalancesOver :exec
DELETE FROM pgw.ledger_imbalances WHERE transaction_id = ANY(@ids::text[]);

-- name: LedgerOff :one
-- By how much the ledger is off, without signs.
SELECT coalesce(sum(i.off), 0)::bigint AS off FROM pgw.ledger_imbalances i;
