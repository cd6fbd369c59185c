package settlement

import (
	"context"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// countClosed counts a day's close, when it is committed, and by how much the drawer was off.
func countClosed(ctx context.Context, difference int64) {
	postgres.AfterCommit(ctx, func() {
		names.Settlements.Add(ctx, 1, names.SettlementState.Is(string(Closed)))
		names.SettlementsDiff.Add(ctx, max(difference, -difference))
	})
}

func countReconciled(ctx context.Context) {
	postgres.AfterCommit(ctx, func() { names.Settlements.Add(ctx, 1, names.SettlementState.Is(string(Reconciled))) })
}

func beginAtZero() {
	names.Settlements.AtZero()
	names.SettlementsDiff.AtZero()
}
