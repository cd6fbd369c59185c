package run

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/pgw/internal/recon/format"
)

// The stage of a run: temporary tables of the run's session. They are unlogged, nobody else sees them, and they end with the
// session, which also holds the run's lock: whoever has lost the lock has lost the stage, and cannot write by mistake.
const stageTables = `
CREATE TEMP TABLE IF NOT EXISTS recon_lines (
	number int NOT NULL, refund bool NOT NULL, completed bool NOT NULL, provider_payment_id text COLLATE "C" NOT NULL,
	reference text COLLATE "C" NOT NULL, store text NOT NULL, accepted_at timestamptz NOT NULL, amount bigint NOT NULL, currency text NOT NULL);
CREATE TEMP TABLE IF NOT EXISTS recon_rejected (number int NOT NULL, reason text NOT NULL, reference text COLLATE "C" NOT NULL, sha256 text NOT NULL);
CREATE TEMP TABLE IF NOT EXISTS recon_items (
	id text COLLATE "C" NOT NULL, refund bool NOT NULL, attempt_id text COLLATE "C" NOT NULL, intent_id text COLLATE "C" NOT NULL,
	state text NOT NULL, status text NOT NULL, amount bigint NOT NULL, currency text NOT NULL, accepted_at timestamptz, store text NOT NULL,
	in_window bool NOT NULL, due bool NOT NULL, is_return bool NOT NULL, carried text COLLATE "C", carried_kind text, settled_day date);
CREATE TEMP TABLE IF NOT EXISTS recon_receivable (currency text NOT NULL, amount bigint NOT NULL);
CREATE TEMP TABLE IF NOT EXISTS recon_repeated (reference text COLLATE "C" NOT NULL);
CREATE TEMP TABLE IF NOT EXISTS recon_pairs (
	id text COLLATE "C" NOT NULL, intent_id text COLLATE "C" NOT NULL, tell bool NOT NULL, refund bool NOT NULL, number int NOT NULL, line_day date NOT NULL,
	provider_payment_id text NOT NULL, reference text NOT NULL, store text NOT NULL, amount bigint NOT NULL, currency text NOT NULL,
	line_at timestamptz NOT NULL, item_at timestamptz NOT NULL, late bool NOT NULL, off_day bool NOT NULL, exception_id text COLLATE "C");
CREATE TEMP TABLE IF NOT EXISTS recon_rest (
	number int NOT NULL, day date NOT NULL, carried text COLLATE "C", item text, unreadable text, refund bool NOT NULL, completed bool NOT NULL,
	provider_payment_id text COLLATE "C" NOT NULL, reference text COLLATE "C" NOT NULL, store text NOT NULL, accepted_at timestamptz NOT NULL,
	amount bigint NOT NULL, currency text NOT NULL, known bool NOT NULL);
CREATE TEMP TABLE IF NOT EXISTS recon_verdicts (
	result text NOT NULL, kind text, item text, exception_id text COLLATE "C", reason text, at_stake bigint, occurred_at timestamptz,
	gateway_id text COLLATE "C", intent_id text COLLATE "C", gateway_refund bool, gateway_status text, gateway_amount bigint,
	gateway_currency text, gateway_at timestamptz, in_window bool, gateway_carried text COLLATE "C",
	number int, line_day date, line_carried text COLLATE "C", line_refund bool, completed bool, provider_payment_id text, reference text,
	store text, line_at timestamptz, line_amount bigint, line_currency text);
CREATE TEMP TABLE IF NOT EXISTS recon_todo (place bigint PRIMARY KEY, LIKE recon_pairs);
CREATE TEMP TABLE IF NOT EXISTS recon_found (section text NOT NULL, kind text NOT NULL, finding json NOT NULL, place bigint NOT NULL);
TRUNCATE recon_lines, recon_rejected, recon_items, recon_receivable, recon_repeated, recon_pairs, recon_rest, recon_verdicts, recon_todo, recon_found;
`

// openStage makes the stage empty and gives the session memory for its joins.
func (s *session) openStage(ctx context.Context) error {
	return s.tx(ctx, "recon.stage", func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT set_config('work_mem', '64MB', false)"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, stageTables)
		return err
	})
}

// copyLines writes a chunk of lines. Each chunk is its own transaction, so that no snapshot stays open for the length of a file.
func (s *session) copyLines(ctx context.Context, lines []format.Line, rejected []format.Rejection) error {
	return s.tx(ctx, "recon.copy", func(ctx context.Context, tx pgx.Tx) error {
		columns := []string{"number", "refund", "completed", "provider_payment_id", "reference", "store", "accepted_at", "amount", "currency"}
		_, err := tx.CopyFrom(ctx, pgx.Identifier{"recon_lines"}, columns, pgx.CopyFromSlice(len(lines), func(i int) ([]any, error) {
			l := lines[i]
			return []any{l.Number, l.Entry == format.Refund, l.Outcome == format.Completed, l.ProviderID, l.Reference, l.StoreID, l.AcceptedAt, l.Amount, string(l.Currency)}, nil
		}))
		if err != nil {
			return fmt.Errorf("copy lines: %w", err)
		}
		_, err = tx.CopyFrom(ctx, pgx.Identifier{"recon_rejected"}, []string{"number", "reason", "reference", "sha256"}, pgx.CopyFromSlice(len(rejected), func(i int) ([]any, error) {
			return []any{rejected[i].Number, rejected[i].Reason, rejected[i].Reference, rejected[i].SHA256}, nil
		}))
		return err
	})
}

// Several partners may share a contract. A line belongs to the partner whose attempt or refund it names; one that nobody knows to the
// partner whose store it is of, or to the first holder.
const (
	storeOwners = `
CREATE TEMP TABLE IF NOT EXISTS recon_owners (store text PRIMARY KEY, partner_id text NOT NULL, mode text NOT NULL);
TRUNCATE recon_owners`
	findOwners = `
INSERT INTO recon_owners
SELECT DISTINCT ON (s.store) s.store, o.partner_id, o.mode
FROM (SELECT DISTINCT store FROM recon_lines) s JOIN (
	SELECT CASE c.provider_store_id WHEN '' THEN c.store_id ELSE c.provider_store_id END AS store, c.partner_id, c.mode FROM pgw.provider_configs c
	WHERE c.provider = $1 AND c.contract_id = $2
	UNION ALL
	SELECT t.id, c.partner_id, c.mode FROM pgw.provider_configs c JOIN pgw.stores t USING (partner_id, mode, merchant_id)
	WHERE c.provider = $1 AND c.contract_id = $2 AND c.store_id = ''
) o USING (store)
ORDER BY s.store, o.partner_id, o.mode`
	keepOwn = `
DELETE FROM %s l
WHERE NOT EXISTS (SELECT FROM pgw.payment_attempts a WHERE a.id = l.reference AND a.partner_id = $1 AND a.mode = $2)
  AND NOT EXISTS (SELECT FROM pgw.refunds r WHERE r.id = l.reference AND r.partner_id = $1 AND r.mode = $2)
  AND (EXISTS (SELECT FROM pgw.payment_attempts a WHERE a.id = l.reference) OR EXISTS (SELECT FROM pgw.refunds r WHERE r.id = l.reference)
	OR NOT coalesce((SELECT o.partner_id = $1 AND o.mode = $2 FROM recon_owners o WHERE o.store = %s), $3))`
)

// leaveToOthers takes out the lines of other partners that share the contract, and counts them.
func (s *session) leaveToOthers(ctx context.Context, first bool) (lines, rejected int64, err error) {
	err = s.txAcross(ctx, "recon.share", func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, storeOwners); err != nil {
			return fmt.Errorf("shared contract: %w", err)
		}
		if _, err := tx.Exec(ctx, findOwners, s.scope.Provider, s.scope.ContractID); err != nil {
			return fmt.Errorf("shared contract: %w", err)
		}
		done, err := tx.Exec(ctx, fmt.Sprintf(keepOwn, "recon_lines", "l.store"), s.scope.PartnerID, s.scope.Mode, first)
		if err != nil {
			return fmt.Errorf("shared contract: %w", err)
		}
		lines = done.RowsAffected()
		done, err = tx.Exec(ctx, fmt.Sprintf(keepOwn, "recon_rejected", "NULL"), s.scope.PartnerID, s.scope.Mode, first)
		rejected = done.RowsAffected()
		return err
	})
	return lines, rejected, err
}

// The gateway's side of the window, and what the ledger says of it, in one statement: both see the same moment.
const snapshot = `
WITH charges AS (
	INSERT INTO recon_items (id, refund, attempt_id, intent_id, state, status, amount, currency, accepted_at, store, in_window, due, is_return)
	SELECT a.id, false, a.id, a.payment_intent_id, CASE a.status WHEN 'succeeded' THEN 'taken' ELSE 'late' END, a.status, a.captured_amount,
		a.currency, a.provider_accepted_at, a.provider_store_id, true, a.provider_accepted_at < $7, false
	FROM pgw.payment_attempts a
	WHERE a.partner_id = $1 AND a.mode = $2 AND a.provider = $3 AND a.contract_id = $4
	  AND a.provider_accepted_at >= $5 AND a.provider_accepted_at < $6 AND (a.status = 'succeeded' OR a.late_success_at IS NOT NULL)
	RETURNING 1
), gave AS (
	INSERT INTO recon_items (id, refund, attempt_id, intent_id, state, status, amount, currency, accepted_at, store, in_window, due, is_return)
	SELECT r.id, true, coalesce(r.attempt_id, r.id), r.payment_intent_id, 'taken', r.status, -r.amount,
		r.currency, r.provider_accepted_at, '', true, r.provider_accepted_at < $7, r.kind = 'return'
	FROM pgw.refunds r
	WHERE r.partner_id = $1 AND r.mode = $2 AND r.provider = $3 AND r.contract_id = $4
	  AND r.provider_accepted_at >= $5 AND r.provider_accepted_at < $6 AND r.status = 'succeeded'
	RETURNING 1
), books AS (
	INSERT INTO recon_receivable (currency, amount)
	SELECT l.currency, sum(l.amount)::bigint FROM pgw.ledger_lines l
	WHERE l.partner_id = $1 AND l.mode = $2 AND l.account = 'provider_receivable' AND l.provider = $3 AND l.contract_id = $4
	  AND l.kind IN ('captured', 'refunded', 'reversed', 'late_success', 'late_returned') AND l.occurred_at >= $5 AND l.occurred_at < $6
	GROUP BY l.currency
	RETURNING 1
)
SELECT (SELECT count(*) FROM charges) + (SELECT count(*) FROM gave), (SELECT count(*) FROM books)`

// Context: an item that no window asks for, but that a line or an open exception names.
const contextItems = `
INSERT INTO recon_items (id, refund, attempt_id, intent_id, state, status, amount, currency, accepted_at, store, in_window, due, is_return)
SELECT a.id, false, a.id, a.payment_intent_id,
	CASE WHEN a.status = 'succeeded' THEN 'taken' WHEN a.late_success_at IS NOT NULL THEN 'late' WHEN a.status = 'failed' THEN 'failed' ELSE 'open' END,
	a.status, CASE WHEN a.captured_amount > 0 THEN a.captured_amount ELSE a.amount END, a.currency, a.provider_accepted_at, a.provider_store_id,
	false, false, false
FROM (%[1]s) named JOIN pgw.payment_attempts a ON a.id = named.id
WHERE a.partner_id = $1 AND a.mode = $2 AND a.provider = $3 AND a.contract_id = $4 AND NOT EXISTS (SELECT FROM recon_items i WHERE i.id = a.id)
UNION ALL
SELECT r.id, true, coalesce(r.attempt_id, r.id), r.payment_intent_id,
	CASE r.status WHEN 'succeeded' THEN 'taken' WHEN 'failed' THEN 'failed' ELSE 'open' END,
	r.status, -r.amount, r.currency, r.provider_accepted_at, '', false, false, r.kind = 'return'
FROM (%[1]s) named JOIN pgw.refunds r ON r.id = named.id
WHERE r.partner_id = $1 AND r.mode = $2 AND r.provider = $3 AND r.contract_id = $4 AND NOT EXISTS (SELECT FROM recon_items i WHERE i.id = r.id)`

const openException = `x.partner_id = $1 AND x.mode = $2 AND x.provider = $3 AND x.contract_id = $4 AND x.status = 'open' AND x.opened_day < $5`

// Items of exceptions that earlier days left open.
var carriedItems = fmt.Sprintf(contextItems, `SELECT x.gateway_id AS id FROM pgw.recon_exceptions x WHERE x.gateway_id IS NOT NULL AND x.item NOT LIKE 'reversal:%%' AND `+openException)

// marks ties items to the exceptions of earlier days that are about them, and to matches that other runs have made.
const (
	markCarried = `
UPDATE recon_items i SET carried = x.id, carried_kind = x.kind
FROM pgw.recon_exceptions x
WHERE x.item = CASE WHEN i.refund THEN 'refund:' ELSE 'charge:' END || i.id AND ` + openException
	// In the window only runs of other days can have settled anything, and they mark what they take from elsewhere.
	markSettledWindow = `
UPDATE recon_items i SET settled_day = m.line_day
FROM pgw.recon_matches m
WHERE m.partner_id = $1 AND m.mode = $2 AND m.off_day AND m.gateway_accepted_at >= $3 AND m.gateway_accepted_at < $4
  AND m.withdrawn_version IS NULL AND NOT (m.run_id = $5 AND m.line_day = $6) AND m.id = 'rm_' || substr(i.id, 4) AND i.in_window`
	markSettledContext = `
UPDATE recon_items i SET settled_day = m.line_day
FROM pgw.recon_matches m
WHERE NOT i.in_window AND m.id = 'rm_' || substr(i.id, 4) AND m.withdrawn_version IS NULL AND NOT (m.run_id = $1 AND m.line_day = $2)`
)

// takeSnapshot stages the gateway's side.
func (s *session) takeSnapshot(ctx context.Context, w window) (items int64, err error) {
	err = s.tx(ctx, "recon.snapshot", func(ctx context.Context, tx pgx.Tx) error {
		p, day := s.scope, s.day
		var books int64
		if err := tx.QueryRow(ctx, snapshot, p.PartnerID, p.Mode, p.Provider, p.ContractID, w.from, w.until, w.due).Scan(&items, &books); err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
		if _, err := tx.Exec(ctx, carriedItems, p.PartnerID, p.Mode, p.Provider, p.ContractID, day); err != nil {
			return fmt.Errorf("carried items: %w", err)
		}
		if _, err := tx.Exec(ctx, "ANALYZE recon_items"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, markCarried, p.PartnerID, p.Mode, p.Provider, p.ContractID, day); err != nil {
			return fmt.Errorf("carried items: %w", err)
		}
		if _, err := tx.Exec(ctx, markSettledWindow, p.PartnerID, p.Mode, w.from, w.until, s.runID, day); err != nil {
			return fmt.Errorf("settled items: %w", err)
		}
		_, err := tx.Exec(ctx, markSettledContext, s.runID, day)
		return err
	})
	return items, err
}

// window is the time that a run judges.
type window struct {
	from  time.Time
	until time.Time // not included; the file's end, or when it was written if that is before
	due   time.Time // what was accepted after this may be in the next file
}
