package run

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/recon"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/audit"
)

const (
	matchedVerdicts = `
INSERT INTO recon_pairs (id, intent_id, tell, refund, number, line_day, provider_payment_id, reference, store, amount, currency, line_at, item_at, late, off_day, exception_id)
SELECT v.gateway_id, v.intent_id, NOT v.gateway_refund AND v.gateway_status = 'succeeded', v.gateway_refund, v.number, v.line_day, v.provider_payment_id,
	v.reference, v.store, v.line_amount, v.line_currency, v.line_at, v.gateway_at,
	v.line_day = $1::date AND (v.gateway_at < $2 OR v.line_at < $2 OR v.gateway_carried IS NOT NULL),
	v.line_day <> $1::date OR NOT (v.gateway_at >= $2 AND v.gateway_at < $3), coalesce(v.gateway_carried, v.line_carried)
FROM recon_verdicts v WHERE v.result = 'matched'`

	planTodo = `
INSERT INTO recon_todo
SELECT row_number() OVER (ORDER BY p.id), p.* FROM recon_pairs p LEFT JOIN pgw.recon_matches m ON m.run_id = $1 AND m.gateway_id = p.id AND m.withdrawn_version IS NULL
WHERE m.id IS NULL`

	// What this version no longer finds.
	goneMatches = `m.run_id = $1 AND m.line_day = $2 AND m.withdrawn_version IS NULL AND NOT EXISTS (SELECT FROM recon_pairs p WHERE p.id = m.gateway_id)`

	movesTable = `
CREATE TEMP TABLE IF NOT EXISTS recon_moves (exception_id text COLLATE "C" NOT NULL, movement text NOT NULL, cleared_by text);
TRUNCATE recon_moves, recon_todo, recon_found`

	inScope = `x.partner_id = $1 AND x.mode = $2 AND x.provider = $3 AND x.contract_id = $4`

	opens = `
INSERT INTO recon_moves
SELECT coalesce(x.id, v.exception_id), 'opened', NULL FROM recon_verdicts v
LEFT JOIN pgw.recon_exceptions x ON x.item = v.item AND ` + inScope + `
WHERE v.result = 'exception' AND x.status IS DISTINCT FROM 'open'`

	// A match that is withdrawn leaves open again what it had cleared.
	reopens = `
INSERT INTO recon_moves
SELECT x.id, 'opened', NULL FROM pgw.recon_matches m JOIN pgw.recon_exceptions x ON x.id = m.exception_id
WHERE ` + goneMatches + ` AND x.status = 'cleared' AND NOT EXISTS (SELECT FROM recon_moves o WHERE o.exception_id = x.id)`

	clears = `
INSERT INTO recon_moves
SELECT x.id, 'cleared', min(c.how) FROM pgw.recon_exceptions x JOIN (
	SELECT p.exception_id AS id, CASE WHEN p.late THEN 'late' ELSE 'matched' END AS how FROM recon_pairs p WHERE p.exception_id IS NOT NULL
	UNION ALL SELECT v.gateway_carried, 'agreed' FROM recon_verdicts v WHERE v.result = 'agreed' AND v.gateway_carried IS NOT NULL
	UNION ALL SELECT v.line_carried, 'agreed' FROM recon_verdicts v WHERE v.result = 'agreed' AND v.line_carried IS NOT NULL
) c ON c.id = x.id
WHERE x.status = 'open' AND ` + inScope + `
  AND NOT EXISTS (SELECT FROM recon_verdicts v WHERE v.result = 'exception' AND v.item = x.item)
GROUP BY x.id`

	// What this run opened and no longer finds, because its file or the gateway has changed.
	supersedes = `
INSERT INTO recon_moves
SELECT x.id, 'cleared', 'superseded' FROM pgw.recon_exceptions x
WHERE x.status = 'open' AND ` + inScope + ` AND x.opened_run_id = $5
  AND NOT EXISTS (SELECT FROM recon_verdicts v WHERE v.result = 'exception' AND v.item = x.item)
  AND NOT EXISTS (SELECT FROM recon_moves o WHERE o.exception_id = x.id)`

	changedExceptions = `
SELECT count(*) FROM recon_verdicts v JOIN pgw.recon_exceptions x ON x.item = v.item AND ` + inScope + `
WHERE v.result = 'exception' AND x.status = 'open'
  AND (x.kind, x.reason, x.gateway_status, x.gateway_amount, x.provider_amount, x.line_day, x.line_number)
	IS DISTINCT FROM (v.kind, v.reason, v.gateway_status, v.gateway_amount, v.line_amount, v.line_day, v.number)`
)

// changes is what a version would write.
type changes struct {
	matches   int64 // to write
	withdrawn int64
	opened    int64
	cleared   int64
	altered   int64 // open exceptions of which something else is known now
}

func (c changes) none() bool { return c == changes{} }

// plan compares what was found with what is written already.
func (s *session) plan(ctx context.Context) (changes, error) {
	var c changes
	err := s.tx(ctx, "recon.plan", func(ctx context.Context, tx pgx.Tx) error {
		p := s.scope
		scope := []any{p.PartnerID, p.Mode, p.Provider, p.ContractID}
		if _, err := tx.Exec(ctx, "DELETE FROM recon_pairs p USING recon_verdicts v WHERE v.result = 'matched' AND v.gateway_id = p.id"); err != nil {
			return fmt.Errorf("plan: %w", err)
		}
		if _, err := tx.Exec(ctx, movesTable); err != nil {
			return fmt.Errorf("plan: %w", err)
		}
		for _, step := range []struct {
			count *int64
			sql   string
			args  []any
		}{
			{nil, matchedVerdicts, []any{s.day, s.dayFrom, s.dayTo}},
			{&c.matches, planTodo, []any{s.runID}},
			{&c.opened, opens, scope},
			{&c.opened, reopens, []any{s.runID, s.day}},
			{&c.cleared, clears, scope},
			{&c.cleared, supersedes, append(scope[:4:4], s.runID)},
		} {
			done, err := tx.Exec(ctx, step.sql, step.args...)
			if err != nil {
				return fmt.Errorf("plan: %w", err)
			}
			if step.count != nil {
				*step.count += done.RowsAffected()
			}
		}
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM pgw.recon_matches m WHERE "+goneMatches, s.runID, s.day).Scan(&c.withdrawn); err != nil {
			return fmt.Errorf("plan: %w", err)
		}
		return tx.QueryRow(ctx, changedExceptions, scope...).Scan(&c.altered)
	})
	return c, err
}

const (
	postMatches = `
INSERT INTO pgw.recon_matches (id, partner_id, mode, run_id, version, line_day, line_number, entry, gateway_id, payment_intent_id, provider_payment_id,
	reference, provider_store_id, amount, currency, line_accepted_at, gateway_accepted_at, rule, late, off_day, exception_id)
SELECT 'rm_' || substr(p.id, 4), $1, $2, $3, $4, p.line_day, p.number, CASE WHEN p.refund THEN 'refund' ELSE 'charge' END, p.id, p.intent_id,
	p.provider_payment_id, p.reference, p.store, p.amount, p.currency, p.line_at, p.item_at, 'exact', p.late, p.off_day, p.exception_id
FROM recon_todo p WHERE p.place > $5 AND p.place <= $6
ON CONFLICT (id) DO NOTHING
RETURNING gateway_id`

	// An item whose match was withdrawn, matched again: its intent was told then, and is not told twice.
	rematch = `
UPDATE pgw.recon_matches m SET run_id = $1, version = $2, withdrawn_version = NULL, line_day = p.line_day, line_number = p.number,
	provider_payment_id = p.provider_payment_id, reference = p.reference, provider_store_id = p.store, amount = p.amount, currency = p.currency,
	line_accepted_at = p.line_at, gateway_accepted_at = p.item_at, late = p.late, off_day = p.off_day, exception_id = p.exception_id
FROM recon_todo p WHERE p.place > $3 AND p.place <= $4 AND m.id = 'rm_' || substr(p.id, 4) AND m.withdrawn_version IS NOT NULL`
)

// postBatch writes the matches of the places after, up to and including upto, and tells the feed of the intents among them: one short
// transaction.
func (s *session) postBatch(ctx context.Context, after, upto int64, version int32, now time.Time) error {
	return s.tx(ctx, "recon.post", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, postMatches, s.scope.PartnerID, s.scope.Mode, s.runID, version, after, upto)
		if err != nil {
			return fmt.Errorf("post: %w", err)
		}
		fresh := map[string]bool{}
		var gatewayID string
		_, err = pgx.ForEachRow(rows, []any{&gatewayID}, func() error {
			fresh[gatewayID] = true
			return nil
		})
		if err != nil {
			return fmt.Errorf("post: %w", err)
		}
		if int64(len(fresh)) < upto-after {
			if _, err := tx.Exec(ctx, rematch, s.runID, version, after, upto); err != nil {
				return fmt.Errorf("post again: %w", err)
			}
		}
		reconciled, err := s.toTell(ctx, tx, after, upto, fresh)
		if err != nil || len(reconciled) == 0 {
			return err
		}
		return s.reconciled(ctx, tx, reconciled, now)
	})
}

// toTell are the intents of the charges among the fresh matches, in the order of their ids: that is the order in which they are locked.
func (s *session) toTell(ctx context.Context, tx pgx.Tx, after, upto int64, fresh map[string]bool) (intents []string, err error) {
	rows, err := tx.Query(ctx, "SELECT id, intent_id FROM recon_todo WHERE place > $1 AND place <= $2 AND tell ORDER BY intent_id", after, upto)
	if err != nil {
		return nil, fmt.Errorf("post: %w", err)
	}
	var id, intentID string
	_, err = pgx.ForEachRow(rows, []any{&id, &intentID}, func() error {
		if fresh[id] {
			intents = append(intents, intentID)
		}
		return nil
	})
	return intents, err
}

const (
	withdraw = `UPDATE pgw.recon_matches m SET withdrawn_version = $3 WHERE ` + goneMatches

	// A line may have moved within a changed file.
	moved = `
UPDATE pgw.recon_matches m SET line_number = p.number, line_accepted_at = p.line_at, provider_payment_id = p.provider_payment_id, provider_store_id = p.store
FROM recon_pairs p WHERE m.run_id = $1 AND m.gateway_id = p.id AND m.withdrawn_version IS NULL AND m.line_day = p.line_day
  AND (m.line_number, m.line_accepted_at, m.provider_payment_id, m.provider_store_id) IS DISTINCT FROM (p.number, p.line_at, p.provider_payment_id, p.store)`

	postExceptions = `
INSERT INTO pgw.recon_exceptions AS x (id, partner_id, mode, provider, contract_id, item, kind, status, entry, gateway_id, payment_intent_id, gateway_status,
	gateway_amount, gateway_currency, gateway_accepted_at, provider_payment_id, reference, provider_store_id, provider_outcome, provider_amount, provider_currency,
	line_day, line_number, line_accepted_at, reason, at_stake, occurred_at, opened_day, opened_run_id, created_at, updated_at)
SELECT v.exception_id, $1, $2, $3, $4, v.item, v.kind, 'open', CASE coalesce(v.gateway_refund, v.line_refund) WHEN true THEN 'refund' WHEN false THEN 'charge' END,
	v.gateway_id, v.intent_id, v.gateway_status, v.gateway_amount, v.gateway_currency, v.gateway_at, v.provider_payment_id, v.reference, v.store,
	CASE v.completed WHEN true THEN 'completed' WHEN false THEN 'failed' END, v.line_amount, v.line_currency, v.line_day, v.number, v.line_at,
	v.reason, v.at_stake, v.occurred_at, $5, $6, $7, $7
FROM recon_verdicts v WHERE v.result = 'exception'
ON CONFLICT (partner_id, mode, provider, contract_id, item) DO UPDATE SET
	kind = excluded.kind, status = 'open', entry = excluded.entry, gateway_id = excluded.gateway_id, payment_intent_id = excluded.payment_intent_id,
	gateway_status = excluded.gateway_status, gateway_amount = excluded.gateway_amount, gateway_currency = excluded.gateway_currency,
	gateway_accepted_at = excluded.gateway_accepted_at, provider_payment_id = excluded.provider_payment_id, reference = excluded.reference,
	provider_store_id = excluded.provider_store_id, provider_outcome = excluded.provider_outcome, provider_amount = excluded.provider_amount,
	provider_currency = excluded.provider_currency, line_day = excluded.line_day, line_number = excluded.line_number,
	line_accepted_at = excluded.line_accepted_at, reason = excluded.reason, at_stake = excluded.at_stake,
	opened_day = CASE x.status WHEN 'open' THEN x.opened_day ELSE excluded.opened_day END,
	opened_run_id = CASE x.status WHEN 'open' THEN x.opened_run_id ELSE excluded.opened_run_id END,
	cleared_day = NULL, cleared_run_id = NULL, cleared_by = NULL, updated_at = excluded.updated_at
WHERE x.status = 'cleared' OR (x.kind, x.reason, x.gateway_status, x.gateway_amount, x.provider_amount, x.line_day, x.line_number)
	IS DISTINCT FROM (excluded.kind, excluded.reason, excluded.gateway_status, excluded.gateway_amount, excluded.provider_amount, excluded.line_day, excluded.line_number)`

	postReopened = `
UPDATE pgw.recon_exceptions x SET status = 'open', cleared_day = NULL, cleared_run_id = NULL, cleared_by = NULL, updated_at = $1
FROM recon_moves o WHERE o.exception_id = x.id AND o.movement = 'opened' AND x.status = 'cleared'`

	postCleared = `
UPDATE pgw.recon_exceptions x SET status = 'cleared', cleared_day = $1, cleared_run_id = $2, cleared_by = o.cleared_by, updated_at = $3
FROM recon_moves o WHERE o.exception_id = x.id AND o.movement = 'cleared'`

	postMovements = `
INSERT INTO pgw.recon_movements (run_id, version, exception_id, movement, partner_id, mode)
SELECT $1, $2, o.exception_id, o.movement, $3, $4 FROM recon_moves o`

	postFindings = `
INSERT INTO pgw.recon_findings (run_id, version, number, partner_id, mode, section, kind, finding)
SELECT $1, $2, f.place, $3, $4, f.section, f.kind, f.finding FROM recon_found f`
)

// finish writes what a version has found and closes the run: one transaction, after which the version is complete.
func (s *session) finish(ctx context.Context, f *recon.Figures, version int32, now time.Time) (status string, err error) {
	err = s.tx(ctx, "recon.finish", func(ctx context.Context, tx pgx.Tx) error {
		p := s.scope
		scope := []any{p.PartnerID, p.Mode, p.Provider, p.ContractID}
		for _, step := range []struct {
			sql  string
			args []any
		}{
			{withdraw, []any{s.runID, s.day, version}},
			{moved, []any{s.runID}},
			{postExceptions, append(scope[:4:4], s.day, s.runID, now)},
			{postReopened, []any{now}},
			{postCleared, []any{s.day, s.runID, now}},
			{postMovements, []any{s.runID, version, p.PartnerID, p.Mode}},
			{findings, append(scope[:4:4], s.day, s.runID)},
			{postFindings, []any{s.runID, version, p.PartnerID, p.Mode}},
		} {
			if _, err := tx.Exec(ctx, step.sql, step.args...); err != nil {
				return fmt.Errorf("finish: %w", err)
			}
		}
		q := pgwdb.New(tx)
		open, err := q.CountOpenExceptions(ctx, pgwdb.CountOpenExceptionsParams{PartnerID: p.PartnerID, Mode: p.Mode, Provider: p.Provider, ContractID: p.ContractID})
		if err != nil {
			return fmt.Errorf("finish: %w", err)
		}
		if open != f.Open.After {
			return fmt.Errorf("open items do not tie: %d before, %d opened, %d cleared, and %d are open", f.Open.Before, f.Open.Opened, f.Open.Cleared, open)
		}
		if status = "matched"; open > 0 {
			status = "exceptions_open"
		}
		return s.close(ctx, tx, f, version, status, now)
	})
	return status, err
}

func (s *session) close(ctx context.Context, tx pgx.Tx, f *recon.Figures, version int32, status string, now time.Time) error {
	figures, err := json.Marshal(f)
	if err != nil {
		return err
	}
	q := pgwdb.New(tx)
	err = q.WriteReconResult(ctx, pgwdb.WriteReconResultParams{
		RunID: s.runID, Version: version, PartnerID: s.scope.PartnerID, Mode: s.scope.Mode, FileSha256: f.File.SHA256, OpenAfter: f.Open.After,
		Figures: figures, CompletedAt: now,
	})
	if err != nil {
		return fmt.Errorf("finish: %w", err)
	}
	if err := q.EndReconRun(ctx, pgwdb.EndReconRunParams{ID: s.runID, Status: status, Version: version, Now: now}); err != nil {
		return fmt.Errorf("finish: %w", err)
	}
	return audit.Append(ctx, tx, s.entry("run.completed", now, map[string]any{
		"version": version, "reason": f.Reason, "file": f.File.Name, "sha256": f.File.SHA256, "lines": f.Lines, "matched": f.Matched.Count,
		"open": f.Open, "status": status,
	}))
}

// entry is a line of the audit log about the run.
func (s *session) entry(action string, now time.Time, detail map[string]any) audit.Entry {
	// Maps of plain values always encode, in the order of their keys.
	text, _ := json.Marshal(detail)
	return audit.Entry{
		PartnerID: s.scope.PartnerID, Mode: s.scope.Mode, At: now, Actor: audit.Matcher, Action: action, Subject: s.runID, Detail: string(text),
	}
}
