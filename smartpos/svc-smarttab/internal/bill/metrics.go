package bill

import (
	"context"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// count counts a bill that comes into a state, or is split, when that is committed.
func count(ctx context.Context, state string) {
	postgres.AfterCommit(ctx, func() { names.Bills.Add(ctx, 1, names.BillState.Is(state)) })
}

func beginAtZero() { names.Bills.AtZero() }
