// Package housekeeping clears away what has served its time: expired codes, tokens, challenges and used assertions, and what the
// payment gateway has long been told; and it makes the audit log's partitions ahead.
package housekeeping

import (
	"context"
	"time"

	"github.com/riverqueue/river"
)

// Args ask for a round.
type Args struct{}

// Kind names the job.
func (Args) Kind() string { return "housekeeping" }

// Worker works the job.
type Worker struct {
	river.WorkerDefaults[Args]
	DB *DB
}

// Work makes a round.
func (w *Worker) Work(ctx context.Context, _ *river.Job[Args]) error { return w.DB.Round(ctx) }

// often enough that used assertions, a row a token, do not pile up.
const often = 5 * time.Minute

// Regularly makes a round every five minutes, whichever task leads.
func Regularly() *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(often), func() (river.JobArgs, *river.InsertOpts) { return Args{}, nil },
		&river.PeriodicJobOpts{RunOnStart: true})
}
