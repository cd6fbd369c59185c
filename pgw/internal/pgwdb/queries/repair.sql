-- name: ProposeRepair :one
-- No row when the transaction has a proposal already.
INSERT INTO pgw.ledger_repairs (
    id, transaction_id, partner_id, mode, line, account, amount, currency, because, state, proposed_by, proposed_by_name, proposed_from, proposed_at)
VALUES (
    @id, @transaction_id, @partner_id, @mode, @line, @account, @amount, @currency, @because, 'proposed', @proposed_by, @proposed_by_name,
    @proposed_from, @proposed_at)
ON CONFLICT (transaction_id) WHERE state = 'proposed' DO NOTHING
RETURNING *;

-- name: OpenRepair :one
SELECT * FROM pgw.ledger_repairs WHERE transaction_id = @transaction_id AND state = 'proposed';

-- name: OpenRepairs :many
SELECT * FROM pgw.ledger_repairs WHERE state = 'proposed' ORDER BY id;

-- name: LockRepair :one
SELECT * FROM pgw.ledger_repairs WHERE id = @id FOR NO KEY UPDATE;

-- name: DecideRepair :one
UPDATE pgw.ledger_repairs SET
    state = @state, decided_by = @decided_by, decided_by_name = @decided_by_name, decided_from = @decided_from, decided_at = @decided_at,
    note = sqlc.narg(note)
WHERE id = @id
RETURNING *;
