package run

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/recon"
)

// findings stages the rows of the report that are not matches, in their order. It gives the same before the exceptions are written
// (a dry run) and after.
const findings = `
INSERT INTO recon_found (section, kind, finding, place)
SELECT f.section, f.kind, json_strip_nulls(f.finding), row_number() OVER (ORDER BY f.rank, f.line_day NULLS LAST, f.line_number NULLS LAST, f.occurred_at, f.item)
FROM (
	SELECT 'found' AS section, 1 AS rank, v.kind, v.line_day, v.number AS line_number, v.occurred_at, v.item, json_build_object(
		'section', 'found', 'kind', v.kind, 'exception_id', coalesce(x.id, v.exception_id),
		'entry', CASE coalesce(v.gateway_refund, v.line_refund) WHEN true THEN 'refund' WHEN false THEN 'charge' END,
		'gateway_id', v.gateway_id, 'payment_intent_id', v.intent_id, 'gateway_status', v.gateway_status, 'gateway_amount', v.gateway_amount,
		'gateway_currency', v.gateway_currency, 'gateway_accepted_at', v.gateway_at, 'provider_payment_id', v.provider_payment_id, 'reference', v.reference,
		'provider_store_id', v.store, 'provider_outcome', CASE v.completed WHEN true THEN 'completed' WHEN false THEN 'failed' END,
		'provider_amount', v.line_amount, 'provider_currency', v.line_currency, 'line_day', v.line_day, 'line_number', v.number,
		'line_accepted_at', v.line_at, 'reason', v.reason, 'at_stake', v.at_stake, 'occurred_at', v.occurred_at, 'opened_day', $5::date) AS finding
	FROM recon_verdicts v LEFT JOIN pgw.recon_exceptions x ON x.item = v.item AND ` + inScope + `
	WHERE v.result = 'exception' AND (x.id IS NULL OR x.status = 'cleared' OR x.opened_day >= $5)
	UNION ALL
	SELECT 'late', 2, 'late', p.line_day, p.number, p.item_at, p.id, json_build_object(
		'section', 'late', 'kind', 'late', 'exception_id', coalesce(p.exception_id, m.exception_id), 'entry', CASE WHEN p.refund THEN 'refund' ELSE 'charge' END,
		'gateway_id', p.id, 'payment_intent_id', p.intent_id, 'gateway_amount', p.amount, 'gateway_currency', p.currency, 'gateway_accepted_at', p.item_at,
		'provider_payment_id', p.provider_payment_id, 'reference', p.reference, 'provider_store_id', p.store, 'provider_outcome', 'completed',
		'provider_amount', p.amount, 'provider_currency', p.currency, 'line_day', p.line_day, 'line_number', p.number, 'line_accepted_at', p.line_at,
		'reason', 'settled by the file of a later day')
	FROM recon_pairs p LEFT JOIN pgw.recon_matches m ON m.run_id = $6 AND m.gateway_id = p.id WHERE p.late
	UNION ALL
	SELECT CASE WHEN o.exception_id IS NULL THEN 'carried' ELSE 'cleared' END, CASE WHEN o.exception_id IS NULL THEN 3 ELSE 4 END, x.kind, x.line_day, x.line_number,
		x.occurred_at, x.item, json_build_object(
		'section', CASE WHEN o.exception_id IS NULL THEN 'carried' ELSE 'cleared' END, 'kind', x.kind, 'exception_id', x.id, 'entry', x.entry,
		'gateway_id', x.gateway_id, 'payment_intent_id', x.payment_intent_id, 'gateway_status', x.gateway_status, 'gateway_amount', x.gateway_amount,
		'gateway_currency', x.gateway_currency, 'gateway_accepted_at', x.gateway_accepted_at, 'provider_payment_id', x.provider_payment_id,
		'reference', x.reference, 'provider_store_id', x.provider_store_id, 'provider_outcome', x.provider_outcome, 'provider_amount', x.provider_amount,
		'provider_currency', x.provider_currency, 'line_day', x.line_day, 'line_number', x.line_number, 'line_accepted_at', x.line_accepted_at,
		'reason', x.reason, 'at_stake', x.at_stake, 'occurred_at', x.occurred_at, 'opened_day', x.opened_day, 'cleared_by', o.cleared_by)
	FROM pgw.recon_exceptions x LEFT JOIN recon_moves o ON o.exception_id = x.id AND o.movement = 'cleared'
	WHERE ` + inScope + ` AND (o.exception_id IS NOT NULL OR x.status = 'open' AND x.opened_day < $5)
) f`

const (
	providerSums = `SELECT 'provider', refund, currency, count(*), sum(amount)::bigint FROM recon_lines WHERE completed GROUP BY refund, currency`
	gatewaySums  = `SELECT 'gateway', refund, currency, count(*), sum(amount)::bigint FROM recon_items WHERE in_window GROUP BY refund, currency`
	matchedSums  = `SELECT 'matched', refund, currency, count(*), sum(amount)::bigint FROM recon_pairs GROUP BY refund, currency`

	counts = `
SELECT (SELECT count(*) FROM recon_lines WHERE NOT completed),
	(SELECT count(*) FROM recon_pairs WHERE late),
	(SELECT count(*) FROM recon_pairs),
	n.count, n.amount
FROM (SELECT count(*) AS count, coalesce(sum(abs(coalesce(gateway_amount, line_amount))), 0)::bigint AS amount
	FROM recon_verdicts WHERE result = 'not_due' AND line_carried IS NULL) n`

	foundSums = `
SELECT v.kind, count(*), coalesce(sum(v.at_stake), 0)::bigint FROM recon_verdicts v LEFT JOIN pgw.recon_exceptions x ON x.item = v.item AND ` + inScope + `
WHERE v.result = 'exception' AND (x.id IS NULL OR x.status = 'cleared' OR x.opened_day >= $5) GROUP BY v.kind`

	// Each item of the window is in one bucket; what the ledger has beyond them is the residual.
	ledgerTie = `
WITH judged AS (SELECT gateway_id, min(result) AS result FROM recon_verdicts WHERE gateway_id IS NOT NULL GROUP BY gateway_id),
buckets AS (
	SELECT i.currency, CASE WHEN p.id IS NOT NULL OR i.settled_day IS NOT NULL THEN 'settled' ELSE coalesce(j.result, 'lost') END AS bucket, i.amount
	FROM recon_items i LEFT JOIN recon_pairs p ON p.id = i.id LEFT JOIN judged j ON j.gateway_id = i.id
	WHERE i.in_window
), items AS (
	SELECT currency, coalesce(sum(amount) FILTER (WHERE bucket = 'settled'), 0)::bigint AS settled,
		coalesce(sum(amount) FILTER (WHERE bucket = 'exception'), 0)::bigint AS open,
		coalesce(sum(amount) FILTER (WHERE bucket = 'not_due'), 0)::bigint AS not_due,
		coalesce(sum(amount) FILTER (WHERE bucket = 'agreed'), 0)::bigint AS returned
	FROM buckets GROUP BY currency
)
SELECT currency, coalesce(r.amount, 0), coalesce(i.settled, 0), coalesce(i.open, 0), coalesce(i.not_due, 0), coalesce(i.returned, 0)
FROM recon_receivable r FULL JOIN items i USING (currency) ORDER BY currency`
)

// count fills the figures that come from the stage and from the open items. It also checks that the contract begins where its last
// run ended.
func (s *session) count(ctx context.Context, f *recon.Figures, c changes) error {
	return s.tx(ctx, "recon.count", func(ctx context.Context, tx pgx.Tx) error {
		p := s.scope
		scope := []any{p.PartnerID, p.Mode, p.Provider, p.ContractID}
		if err := sums(ctx, tx, f); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, counts).Scan(&f.ProviderSide.Failed, &f.Matched.Late, &f.Matched.Count, &f.NotDue.Count, &f.NotDue.Amount)
		if err != nil {
			return fmt.Errorf("figures: %w", err)
		}
		if err := exceptionSums(ctx, tx, f, append(scope[:4:4], s.day)); err != nil {
			return err
		}
		if err := tie(ctx, tx, f); err != nil {
			return err
		}
		q := pgwdb.New(tx)
		f.Open.Before, err = q.CountOpenExceptions(ctx, pgwdb.CountOpenExceptionsParams{PartnerID: p.PartnerID, Mode: p.Mode, Provider: p.Provider, ContractID: p.ContractID})
		if err != nil {
			return fmt.Errorf("figures: %w", err)
		}
		f.Open.Opened, f.Open.Cleared = c.opened, c.cleared
		f.Open.After = f.Open.Before + f.Open.Opened - f.Open.Cleared
		last, err := q.LastReconResult(ctx, pgwdb.LastReconResultParams{PartnerID: p.PartnerID, Mode: p.Mode, Provider: p.Provider, ContractID: p.ContractID})
		if err == nil && last != f.Open.Before {
			return fmt.Errorf("open items do not tie: the last run left %d, %d are open", last, f.Open.Before)
		}
		return ignoreNone(err)
	})
}

func sums(ctx context.Context, tx pgx.Tx, f *recon.Figures) error {
	for _, side := range []*recon.SideFigures{&f.ProviderSide, &f.GatewaySide} {
		side.Charges, side.Refunds = recon.Totals{}, recon.Totals{}
	}
	f.Matched.Charges, f.Matched.Refunds = recon.Totals{}, recon.Totals{}
	rows, err := tx.Query(ctx, providerSums+" UNION ALL "+gatewaySums+" UNION ALL "+matchedSums)
	if err != nil {
		return fmt.Errorf("figures: %w", err)
	}
	into := map[string][2]recon.Totals{
		"provider": {f.ProviderSide.Charges, f.ProviderSide.Refunds}, "gateway": {f.GatewaySide.Charges, f.GatewaySide.Refunds},
		"matched": {f.Matched.Charges, f.Matched.Refunds},
	}
	var side, currency string
	var refund bool
	var sum recon.Sum
	_, err = pgx.ForEachRow(rows, []any{&side, &refund, &currency, &sum.Count, &sum.Amount}, func() error {
		entry := 0
		if refund {
			entry = 1
		}
		into[side][entry][currency] = sum
		return nil
	})
	return err
}

func exceptionSums(ctx context.Context, tx pgx.Tx, f *recon.Figures, args []any) error {
	f.Exceptions = map[recon.Kind]recon.Sum{}
	for _, k := range recon.Kinds {
		f.Exceptions[k] = recon.Sum{}
	}
	rows, err := tx.Query(ctx, foundSums, args...)
	if err != nil {
		return fmt.Errorf("figures: %w", err)
	}
	var kind string
	var sum recon.Sum
	_, err = pgx.ForEachRow(rows, []any{&kind, &sum.Count, &sum.Amount}, func() error {
		f.Exceptions[recon.Kind(kind)] = sum
		return nil
	})
	return err
}

func tie(ctx context.Context, tx pgx.Tx, f *recon.Figures) error {
	rows, err := tx.Query(ctx, ledgerTie)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	f.Ledger, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (recon.LedgerFigure, error) {
		var l recon.LedgerFigure
		err := row.Scan(&l.Currency, &l.Receivable, &l.Settled, &l.Open, &l.NotDue, &l.Returned)
		l.Residual = l.Receivable - l.Settled - l.Open - l.NotDue - l.Returned
		return l, err
	})
	return err
}

// stagedFindings yields what a dry run has found; nothing of it is written.
func (s *session) stagedFindings(ctx context.Context, yield func(recon.Finding) error) error {
	return s.tx(ctx, "recon.dry", func(ctx context.Context, tx pgx.Tx) error {
		p := s.scope
		if _, err := tx.Exec(ctx, "TRUNCATE recon_found"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, findings, p.PartnerID, p.Mode, p.Provider, p.ContractID, s.day, s.runID); err != nil {
			return fmt.Errorf("findings: %w", err)
		}
		rows, err := tx.Query(ctx, "SELECT finding FROM recon_found ORDER BY place")
		if err != nil {
			return fmt.Errorf("findings: %w", err)
		}
		var raw []byte
		_, err = pgx.ForEachRow(rows, []any{&raw}, func() error {
			var f recon.Finding
			if err := json.Unmarshal(raw, &f); err != nil {
				return err
			}
			return yield(f)
		})
		return err
	})
}
