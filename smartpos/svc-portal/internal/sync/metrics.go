package sync

import (
	"context"
	"fmt"

	"github.com/mpac-cloud/mpac/platform/stats"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Figures reads how many changes wait for the gateway and how long the oldest has: an alarm when they do not go out.
func (o *Outbox) Figures() stats.Read {
	return stats.Read{
		Name: "sync", Of: []*names.Observed{names.SyncPending, names.SyncOldest},
		Take: func(ctx context.Context, say names.Say) error {
			n, age, err := o.Backlog(ctx)
			if err != nil {
				return fmt.Errorf("changes to tell: %w", err)
			}
			say(names.SyncPending, float64(n))
			say(names.SyncOldest, age.Seconds())
			return nil
		},
	}
}
