package order

import (
	"context"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// count counts orders that come into a state, when that is committed.
func count(ctx context.Context, to Status, types ...string) {
	postgres.AfterCommit(ctx, func() {
		for _, t := range types {
			names.Orders.Add(ctx, 1, names.OrderState.Is(string(to)), names.OrderType.Is(t))
		}
	})
}

func beginAtZero() { names.Orders.AtZero() }
