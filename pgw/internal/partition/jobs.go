package partition

import (
	"context"
	"time"

	"github.com/riverqueue/river"
)

// Args is the periodic job's argument: none.
type Args struct{}

// Kind names the job.
func (Args) Kind() string { return "pgw_partitions" }

// every is how often it runs: often enough that a lock that was not to be had in time costs nothing.
const every = time.Hour

// Worker runs the maintenance.
type Worker struct {
	river.WorkerDefaults[Args]
	Keeper *Keeper
}

// Work runs it once.
func (w *Worker) Work(ctx context.Context, _ *river.Job[Args]) error {
	_, err := w.Keeper.Maintain(ctx)
	return err
}

// Periodic is the schedule: at the start and every hour.
func Periodic() *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(every), func() (river.JobArgs, *river.InsertOpts) {
		return Args{}, &river.InsertOpts{MaxAttempts: 3, UniqueOpts: river.UniqueOpts{ByPeriod: every / 2}}
	}, &river.PeriodicJobOpts{RunOnStart: true})
}
