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
	switch l := v.Line; {
	case l == nil:
	case l.Unreadable != "":
		copy(row[16:], []any{l.Number, dateOf(l.Day)})
		if format.IsID(l.Reference) {
			row[22] = l.Reference
		}
	default:
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
		return v.Line.AcceptedAt // an unreadable line's is the beginning of its day
	}
	return s.dayFrom
}

// stake is the money in question, minor unit.
func stake(v match.Verdict) int64 {
	switch {
	case v.Item != nil && v.Line != nil && v.Kind == recon.AmountDiffers:
		return abs(v.Item.Amount - v.Line.Amount)
	case v.Line != nil && v.Line.Unreadable == "":
		return abs(v.Line.Amount)
	case v.Item != nil:
		return abs(v.Item.Amount)
	}
	return 0
}

func abs(n int64) int64 { return max(n, -n) }
