package resolution

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/stats"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Figures counts what was approved from the table: the command that approves is gone before anybody could read its counters.
func Figures(db *pgxpool.Pool, providers []string) stats.Read {
	return stats.Read{
		Name: "resolutions", Of: []*names.Observed{names.OperatorSettled},
		Take: func(ctx context.Context, say names.Say) error {
			return postgres.InReadTx(ctx, db, operating, "pgw.resolution.figures", func(ctx context.Context, tx pgx.Tx) error {
				rows, err := pgwdb.New(tx).ResolvedItems(ctx)
				if err != nil {
					return fmt.Errorf("count resolutions: %w", err)
				}
				settled := map[[2]string]int64{}
				for _, r := range rows {
					settled[[2]string{r.Provider, r.Outcome}] = r.Items
				}
				for _, p := range providers {
					for _, o := range []Outcome{Succeeded, Failed} {
						say(names.OperatorSettled, float64(settled[[2]string{p, string(o)}]), names.Provider.Is(p), names.Resolved.Is(string(o)))
					}
				}
				return nil
			})
		},
	}
}
