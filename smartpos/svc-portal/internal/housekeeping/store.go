package housekeeping

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/portaldb"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/audit"
)

// DB is what is kept in order.
type DB struct {
	Pool  *pgxpool.Pool
	Clock clock.Clock
}

// How long things stay after they have served.
const (
	day = 24 * time.Hour
	// A refresh token that was used must be known as such for as long as somebody may show it again.
	keepTokens   = 30 * day
	keepCodes    = 7 * day
	keepOutbox   = 7 * day
	keepFailures = day
)

// batches bounds a round: what is left waits for the next.
const batches = 200

// Round clears away everything whose time is over, in short transactions, and looks after the partitions.
func (d *DB) Round(ctx context.Context) error {
	now := d.Clock()
	if err := (audit.Store{DB: d.Pool}).MakePartitions(ctx, now); err != nil {
		return fmt.Errorf("partitions: %w", err)
	}
	doneBefore := now.Add(-keepOutbox)
	for _, step := range []struct {
		what  string
		clear func(context.Context, *portaldb.Queries) (int64, error)
	}{
		{"assertions", func(ctx context.Context, q *portaldb.Queries) (int64, error) {
			return q.DeleteExpiredAssertions(ctx, now)
		}},
		{"refresh tokens", func(ctx context.Context, q *portaldb.Queries) (int64, error) {
			return q.DeleteExpiredRefreshTokens(ctx, now.Add(-keepTokens))
		}},
		{"challenges", func(ctx context.Context, q *portaldb.Queries) (int64, error) {
			return q.DeleteExpiredChallenges(ctx, now)
		}},
		{"known devices", func(ctx context.Context, q *portaldb.Queries) (int64, error) {
			return q.DeleteExpiredKnownDevices(ctx, now)
		}},
		{"login failures", func(ctx context.Context, q *portaldb.Queries) (int64, error) {
			return q.DeleteOldLoginFailures(ctx, now.Add(-keepFailures))
		}},
		{"activation codes", func(ctx context.Context, q *portaldb.Queries) (int64, error) {
			return q.DeleteExpiredActivationCodes(ctx, now.Add(-keepCodes))
		}},
		{"outbox", func(ctx context.Context, q *portaldb.Queries) (int64, error) {
			return q.DeleteDoneOutbox(ctx, &doneBefore)
		}},
	} {
		if err := d.clear(ctx, step.clear); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// clear repeats one deletion until it finds nothing more.
func (d *DB) clear(ctx context.Context, deletion func(context.Context, *portaldb.Queries) (int64, error)) error {
	for range batches {
		var gone int64
		err := postgres.InTx(ctx, d.Pool, postgres.CrossTenant("portal.housekeeping"), "portal.housekeeping", func(ctx context.Context, tx pgx.Tx) error {
			var err error
			gone, err = deletion(ctx, portaldb.New(tx))
			return err
		})
		if err != nil || gone == 0 {
			return err
		}
	}
	return nil
}
