package receipt

import (
	"context"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// count counts a receipt, when it is committed.
func count(ctx context.Context, returned bool) {
	kind := "receipt"
	if returned {
		kind = "return"
	}
	postgres.AfterCommit(ctx, func() { names.Receipts.Add(ctx, 1, names.ReceiptKind.Is(kind)) })
}

func beginAtZero() { names.Receipts.AtZero() }
