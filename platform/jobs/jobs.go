// Package jobs sets up River, the PostgreSQL-backed job queue: a job is inserted in the transaction of the change that needs
// it, so it exists exactly when the change does. A job's arguments hold ids only: the worker reads the rest under the
// tenant's scope.
package jobs

import (
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
)

// Client inserts jobs and, once started, works them.
type Client = river.Client[pgx.Tx]

// Options are what differs between services.
type Options struct {
	Schema   string                       // River's tables
	Workers  *river.Workers               // nil: this process only inserts
	Queues   map[string]river.QueueConfig // default: one queue of 20 workers
	Periodic []*river.PeriodicJob
	Logger   *slog.Logger
}

// New makes a client. A job that was running when its process was killed is taken up again after a minute; what must go
// on sooner has a sweep of its own over an index.
func New(pool *pgxpool.Pool, o Options) (*Client, error) {
	cfg := &river.Config{
		Schema: o.Schema, Workers: o.Workers, PeriodicJobs: o.Periodic, Logger: o.Logger,
		FetchCooldown: 50 * time.Millisecond, FetchPollInterval: 500 * time.Millisecond,
		JobTimeout: 45 * time.Second, RescueStuckJobsAfter: time.Minute,
		Middleware:                  []rivertype.Middleware{&tracing{}},
		CompletedJobRetentionPeriod: time.Hour, CancelledJobRetentionPeriod: 30 * 24 * time.Hour, DiscardedJobRetentionPeriod: 30 * 24 * time.Hour,
	}
	if o.Workers != nil {
		cfg.Queues = o.Queues
		if cfg.Queues == nil {
			cfg.Queues = map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 20}}
		}
	}
	return river.NewClient(riverpgxv5.New(pool), cfg)
}
