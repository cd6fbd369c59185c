package run

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/pgw/internal/recon"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/format"
	"github.com/mpac-cloud/mpac/pgw/internal/recon/match"
)

var verdictColumns = []string{
	"result", "kind", "item", "exception_id", "reason", "at_stake", "occurred_at",
	"gateway_id", "intent_id", "gateway_refund", "gateway_status", "gateway_amount", "gateway_currency", "gateway_at", "in_window", "gateway_carried",
	"number", "line_day", "line_carried", "line_refund", "completed", "provider_payment_id", "reference", "store", "line_at", "line_amount", "line_currency",
}

// copyVerdicts stages verdicts.
func (s *session) copyVerdicts(ctx context.Context, tx pgx.Tx, verdicts []match.Verdict) error {
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"recon_verdicts"}, verdictColumns, pgx.CopyFromSlice(len(verdicts), func(i int) ([]any, error) {
		return s.verdictRow(verdicts[i]), nil
	}))
	if err != nil {
		return fmt.Errorf("verdicts: %w", err)
	}
	return nil
}

func (s *session) verdictRow(v match.Verdict) []any {
	row := make([]any, len(verdictColumns))
	row[0] = string(v.Result)
	if v.Result == match.Exception {
		occurred := s.occurred(v)
		copy(row[1:], []any{string(v.Kind), v.Key, s.scope.ExceptionID(occurred, v.Key), v.Reason, stake(v), occurred})
	}
	if it := v.Item; it != nil {
		var at *time.Time
		if !it.AcceptedAt.IsZero() {
			at = &it.AcceptedAt
		}
		copy(row[7:], []any{it.ID, it.IntentID, it.Entry == format.Refund, it.Status, it.Amount, it.Currency, at, it.InWindow, nullable(it.Carried)})
	}
	if l := v.Line; l != nil {
		copy(row[16:], []any{
			l.Number, dateOf(l.Day), nullable(l.Carried), l.Entry == format.Refund, l.Outcome == format.Completed, l.ProviderID, l.Reference, l.StoreID,
			l.AcceptedAt, l.Amount, string(l.Currency),
		})
	}
	return row
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// dateOf reads a day that this program wrote.
func dateOf(day string) time.Time {
	d, _ := time.Parse(time.DateOnly, day)
	return d
}

// occurred is when the payment of an exception took place: the provider's word for it, on whichever side has it.
func (s *session) occurred(v match.Verdict) time.Time {
	switch {
	case v.Item != nil && !v.Item.AcceptedAt.IsZero():
		return v.Item.AcceptedAt
	case v.Line != nil:
		return v.Line.AcceptedAt
	}
	return s.window.from
}

// stake is the money in question, minor unit.
func stake(v match.Verdict) int64 {
	switch {
	case v.Item != nil && v.Line != nil && v.Kind == recon.AmountDiffers:
		return abs(v.Item.Amount - v.Line.Amount)
	case v.Line != nil:
		return abs(v.Line.Amount)
	case v.Item != nil:
		return abs(v.Item.Amount)
	}
	return 0
}

func abs(n int64) int64 { return max(n, -n) }

// judgeRejected makes an exception of every line that could not be read. The same bad line on the same day is the same item, wherever
// in the file it stands.
func (s *session) judgeRejected(ctx context.Context, tx pgx.Tx) error {
	const cursor = `DECLARE bad NO SCROLL CURSOR FOR
		SELECT number, reason, sha256, row_number() OVER (PARTITION BY sha256 ORDER BY number) FROM recon_rejected ORDER BY number`
	if _, err := tx.Exec(ctx, cursor); err != nil {
		return fmt.Errorf("unparsable lines: %w", err)
	}
	for {
		rows, err := tx.Query(ctx, "FETCH 5000 FROM bad")
		if err != nil {
			return fmt.Errorf("unparsable lines: %w", err)
		}
		bad, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) {
			var number int
			var reason, sum string
			var nth int64
			if err := row.Scan(&number, &reason, &sum, &nth); err != nil {
				return nil, err
			}
			item := fmt.Sprintf("line:%s:%s:%d", s.date, sum[:32], nth)
			out := make([]any, len(verdictColumns))
			out[0] = string(match.Exception)
			copy(out[1:], []any{string(recon.Unparsable), item, s.scope.ExceptionID(s.window.from, item), reason, int64(0), s.window.from})
			out[16], out[17] = number, s.day
			return out, nil
		})
		if err != nil {
			return fmt.Errorf("unparsable lines: %w", err)
		}
		if len(bad) == 0 {
			return nil
		}
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"recon_verdicts"}, verdictColumns, pgx.CopyFromRows(bad)); err != nil {
			return fmt.Errorf("unparsable lines: %w", err)
		}
	}
}
