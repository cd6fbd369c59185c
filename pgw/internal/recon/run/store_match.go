package run

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/recon"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/format"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/match"
	"github.com/mpac-cloud/mpac/platform/money"
)

// The bulk of a day: one hash join. Rule Exact of package match, for references that the file has once; the rest is judged in Go.
const exactJoin = `
INSERT INTO recon_pairs (id, intent_id, tell, refund, number, line_day, provider_payment_id, reference, store, amount, currency, line_at, item_at, late, off_day, exception_id)
SELECT i.id, i.intent_id, NOT i.refund, i.refund, l.number, $1::date, l.provider_payment_id, l.reference, l.store, l.amount, l.currency, l.accepted_at,
	i.accepted_at, i.accepted_at < $2 OR i.carried IS NOT NULL, NOT (i.accepted_at >= $2 AND i.accepted_at < $3), i.carried
FROM recon_lines l JOIN recon_items i ON i.id = l.reference AND i.refund = l.refund AND i.amount = l.amount AND i.currency = l.currency
WHERE l.completed AND i.state = 'taken' AND i.settled_day IS NULL AND (i.carried IS NULL OR i.carried_kind IN ('missing_at_provider', 'unparsable'))
  AND NOT EXISTS (SELECT FROM recon_repeated d WHERE d.reference = l.reference)`

// joinExact pairs what agrees at first sight.
func (s *session) joinExact(ctx context.Context, dayFrom, dayTo time.Time) error {
	return s.tx(ctx, "recon.match", func(ctx context.Context, tx pgx.Tx) error {
		for _, sql := range []string{
			"ANALYZE recon_lines",
			"INSERT INTO recon_repeated SELECT reference FROM recon_lines GROUP BY reference HAVING count(*) > 1",
			"ANALYZE recon_repeated",
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return fmt.Errorf("match: %w", err)
			}
		}
		if _, err := tx.Exec(ctx, exactJoin, s.day, dayFrom, dayTo); err != nil {
			return fmt.Errorf("match: %w", err)
		}
		_, err := tx.Exec(ctx, "ANALYZE recon_pairs")
		return err
	})
}

const (
	restLines = `
INSERT INTO recon_rest
SELECT l.number, $1::date, NULL, NULL, NULL, l.refund, l.completed, l.provider_payment_id, l.reference, l.store, l.accepted_at, l.amount, l.currency, false
FROM recon_lines l LEFT JOIN recon_pairs p ON p.number = l.number WHERE p.number IS NULL`

	// The same bad line on the same day is the same item, wherever in the file it stands.
	restRejected = `
INSERT INTO recon_rest
SELECT b.number, $1::date, NULL, 'line:' || $1::date || ':' || substr(b.sha256, 1, 32) || ':' || row_number() OVER (PARTITION BY b.sha256 ORDER BY b.number),
	b.reason, false, false, '', CASE b.reference WHEN '' THEN 'line ' || b.number ELSE b.reference END, '', $2::timestamptz, 0, '', false
FROM recon_rejected b`

	// Lines of exceptions that earlier days left open are looked at again: the gateway may know more by now.
	carriedLines = `
INSERT INTO recon_rest
SELECT x.line_number, x.line_day, x.id, x.item, NULL, x.entry = 'refund', x.provider_outcome = 'completed', x.provider_payment_id, x.reference, x.provider_store_id,
	x.line_accepted_at, x.provider_amount, x.provider_currency, false
FROM pgw.recon_exceptions x
WHERE x.kind IN ('missing_at_gateway', 'amount_differs', 'currency_differs', 'status_differs', 'refund_without_charge')
  AND x.item NOT LIKE 'reversal:%' AND x.line_number IS NOT NULL AND ` + openException + `
  AND NOT EXISTS (SELECT FROM recon_pairs p JOIN recon_items i USING (id) WHERE i.carried = x.id)`

	// The refunds of the payments that are left.
	restRefunds = `SELECT r.id FROM pgw.refunds r WHERE r.payment_intent_id IN (
		SELECT i.intent_id FROM recon_items i WHERE i.id IN (SELECT n.reference FROM recon_rest n)
		UNION SELECT i.intent_id FROM recon_items i WHERE i.state = 'late')`

	// An unknown refund may still be of a charge that is known by the provider's number.
	knownCharges = `
UPDATE recon_rest n SET known = true
WHERE n.refund AND n.provider_payment_id IN (
	SELECT o.provider_payment_id FROM recon_rest o JOIN recon_lines c ON c.provider_payment_id = o.provider_payment_id AND NOT c.refund AND c.completed WHERE o.refund
	UNION
	SELECT o.provider_payment_id FROM recon_rest o JOIN pgw.payment_attempts a ON a.provider = $3 AND a.provider_payment_id = o.provider_payment_id
	WHERE o.refund AND a.partner_id = $1 AND a.mode = $2 AND a.contract_id = $4 AND a.captured_amount > 0)`
)

var (
	namedItems  = fmt.Sprintf(contextItems, "SELECT DISTINCT n.reference AS id FROM recon_rest n")
	refundItems = fmt.Sprintf(contextItems, restRefunds)
)

// gatherRest stages what the join left over, with whatever the gateway knows about it.
func (s *session) gatherRest(ctx context.Context) error {
	return s.tx(ctx, "recon.rest", func(ctx context.Context, tx pgx.Tx) error {
		p := s.scope
		scope := []any{p.PartnerID, p.Mode, p.Provider, p.ContractID}
		for _, step := range []struct {
			sql  string
			args []any
		}{
			{restLines, []any{s.day}},
			{restRejected, []any{s.day, s.dayFrom}},
			{carriedLines, append(scope[:4:4], s.day)},
			{"ANALYZE recon_rest", nil},
			{namedItems, scope},
			{refundItems, scope},
			{markCarried, append(scope[:4:4], s.day)},
			{markSettledContext, []any{s.runID, s.day}},
			{knownCharges, scope},
			{"ANALYZE recon_items", nil},
		} {
			if _, err := tx.Exec(ctx, step.sql, step.args...); err != nil {
				return fmt.Errorf("rest: %w", err)
			}
		}
		return nil
	})
}

// What is left, payment by payment.
const restCursor = `
DECLARE rest NO SCROLL CURSOR FOR
SELECT coalesce(i.attempt_id, n.reference) AS key, true AS is_line, n.number, n.day, n.carried, n.item, n.unreadable, n.refund, n.completed, n.provider_payment_id,
	n.reference, n.store, n.accepted_at, n.amount, n.currency, n.known,
	NULL::text AS attempt_id, NULL::text AS intent_id, NULL::text AS state, NULL::text AS status, false AS is_return, false AS in_window, false AS due, NULL::date AS settled_day, NULL::text AS carried_kind
FROM recon_rest n LEFT JOIN recon_items i ON i.id = n.reference
UNION ALL
SELECT i.attempt_id, false, 0, NULL, i.carried, NULL, NULL, i.refund, false, '', i.id, i.store, i.accepted_at, i.amount, i.currency, false,
	i.attempt_id, i.intent_id, i.state, i.status, i.is_return, i.in_window, i.due, i.settled_day, i.carried_kind
FROM recon_items i LEFT JOIN recon_pairs p ON p.id = i.id WHERE p.id IS NULL
ORDER BY key`

// restRow is a row of the cursor: a line or an item.
type restRow struct {
	key                               string
	isLine                            bool
	number                            int
	day                               *time.Time
	carried, itemKey, unreadable      *string
	refund, completed                 bool
	providerID, reference, store      string
	acceptedAt                        *time.Time
	amount                            int64
	currency                          string
	known                             bool
	attemptID, intentID, state, where *string
	isReturn, inWindow, due           bool
	settled                           *time.Time
	carriedKind                       *string
}

func (r *restRow) scan(row pgx.CollectableRow) error {
	return row.Scan(&r.key, &r.isLine, &r.number, &r.day, &r.carried, &r.itemKey, &r.unreadable, &r.refund, &r.completed, &r.providerID, &r.reference, &r.store,
		&r.acceptedAt, &r.amount, &r.currency, &r.known, &r.attemptID, &r.intentID, &r.state, &r.where, &r.isReturn, &r.inWindow, &r.due, &r.settled, &r.carriedKind)
}

func (r *restRow) entry() format.Entry {
	if r.refund {
		return format.Refund
	}
	return format.Charge
}

func (r *restRow) line() match.Line {
	outcome := format.Failed
	if r.completed {
		outcome = format.Completed
	}
	return match.Line{
		Line: format.Line{
			Number: r.number, Entry: r.entry(), Outcome: outcome, ProviderID: r.providerID, Reference: r.reference, StoreID: r.store,
			AcceptedAt: r.acceptedAt.UTC(), Amount: r.amount, Currency: money.Currency(r.currency),
		},
		Day: date(r.day), Carried: pgwdb.Text(r.carried), Unreadable: pgwdb.Text(r.unreadable), Key: pgwdb.Text(r.itemKey),
	}
}

func (r *restRow) item() match.Item {
	it := match.Item{
		ID: r.reference, Entry: r.entry(), AttemptID: pgwdb.Text(r.attemptID), IntentID: pgwdb.Text(r.intentID), State: match.State(pgwdb.Text(r.state)),
		Status: pgwdb.Text(r.where), Amount: r.amount, Currency: r.currency, StoreID: r.store, Return: r.isReturn, InWindow: r.inWindow, Due: r.due,
		Carried: pgwdb.Text(r.carried), CarriedKind: recon.Kind(pgwdb.Text(r.carriedKind)), SettledDay: date(r.settled),
	}
	if r.acceptedAt != nil {
		it.AcceptedAt = r.acceptedAt.UTC()
	}
	return it
}

func date(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.DateOnly)
}

// judgeRest reads what is left payment by payment and writes the verdicts, a chunk at a time.
func (s *session) judgeRest(ctx context.Context, day match.Day) error {
	return s.tx(ctx, "recon.judge", func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "TRUNCATE recon_verdicts"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, restCursor); err != nil {
			return fmt.Errorf("judge: %w", err)
		}
		b := bench{day: day}
		for done := false; !done; {
			rows, err := fetchRest(ctx, tx)
			if err != nil {
				return err
			}
			for i := range rows {
				b.take(&rows[i])
			}
			if done = len(rows) == 0; done {
				b.judge()
			}
			if err := s.copyVerdicts(ctx, tx, b.verdicts); err != nil {
				return err
			}
			b.verdicts = b.verdicts[:0]
		}
		return nil
	})
}

// bench gathers rows into payments and judges each when it is complete.
type bench struct {
	day      match.Day
	group    match.Group
	verdicts []match.Verdict
}

func (b *bench) take(r *restRow) {
	if r.key != b.group.Key {
		b.judge()
		b.group = match.Group{Key: r.key}
	}
	if r.isLine {
		b.group.Lines = append(b.group.Lines, r.line())
		b.group.ChargeKnown = b.group.ChargeKnown || r.known
		return
	}
	b.group.Items = append(b.group.Items, r.item())
}

func (b *bench) judge() {
	if len(b.group.Lines)+len(b.group.Items) > 0 {
		b.verdicts = append(b.verdicts, b.day.Judge(b.group)...)
	}
}

func fetchRest(ctx context.Context, tx pgx.Tx) ([]restRow, error) {
	rows, err := tx.Query(ctx, "FETCH 5000 FROM rest")
	if err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (restRow, error) {
		var r restRow
		err := r.scan(row)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}
	return out, nil
}
