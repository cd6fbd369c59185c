package idempotency

import (
	"context"

	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// count counts a request whose key was known. It has no effect besides, so it need not wait for a commit.
func count(ctx context.Context, outcome string) {
	names.IdempotencyRepeats.Add(ctx, 1, names.RepeatOutcome.Is(outcome))
}

// Measure shows the counter before the first repetition.
func Measure() {
	for _, outcome := range []string{"replayed", "in_use", "reused"} {
		names.IdempotencyRepeats.AtZero(names.RepeatOutcome.Is(outcome))
	}
}
