package payment

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/stats"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/smarttabdb"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/settlement"
)

// openTooLong is how long an ordinary payment takes at most; what is open longer is counted.
const openTooLong = 10 * time.Minute

// Figures reads what should have ended: payments, and the days they count on.
func (s *Service) Figures() stats.Read {
	return stats.Read{
		Name: "store_payments", Of: []*names.Observed{names.StoreOpen, names.SettlementsLate},
		Take: func(ctx context.Context, say names.Say) error {
			return postgres.InReadTx(ctx, s.DB, postgres.CrossTenant("smarttab.figures"), "smarttab.figures", func(ctx context.Context, tx pgx.Tx) error {
				q, now := smarttabdb.New(tx), s.now()
				rows, err := q.OpenPayments(ctx, now.Add(-openTooLong))
				if err != nil {
					return fmt.Errorf("open payments: %w", err)
				}
				open := map[string]int64{}
				for _, r := range rows {
					open[r.Method] = r.Open
				}
				for _, m := range methods {
					say(names.StoreOpen, float64(open[m]), names.Method.Is(m))
				}
				overdue, err := q.OverdueSettlements(ctx, now.Add(-settlement.OverdueAfter))
				if err != nil {
					return fmt.Errorf("overdue settlements: %w", err)
				}
				say(names.SettlementsLate, float64(overdue))
				return nil
			})
		},
	}
}
