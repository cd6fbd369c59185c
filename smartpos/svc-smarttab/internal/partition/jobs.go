package partition

import (
	"context"
	"time"

	"github.com/riverqueue/river"
)

// Args is the upkeep's job; it has none.
type Args struct{}

// Kind names the job in the queue.
func (Args) Kind() string { return "smarttab_partitions" }

// every is how often it runs: a lock that was not to be had is tried again soon.
const every = time.Hour

type worker struct {
	river.WorkerDefaults[Args]
	keeper *Keeper
}

// Work runs the upkeep once.
func (w *worker) Work(ctx context.Context, _ *river.Job[Args]) error {
	_, err := w.keeper.Keep(ctx)
	return err
}

// AddWorkers registers the upkeep.
func (k *Keeper) AddWorkers(workers *river.Workers) { river.AddWorker(workers, &worker{keeper: k}) }

// Periodic is its schedule: at the start and every hour.
func Periodic() *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(every), func() (river.JobArgs, *river.InsertOpts) {
		return Args{}, &river.InsertOpts{MaxAttempts: 3, UniqueOpts: river.UniqueOpts{ByPeriod: every / 2}}
	}, &river.PeriodicJobOpts{RunOnStart: true})
}
