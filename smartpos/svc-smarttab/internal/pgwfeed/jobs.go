package pgwfeed

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/riverqueue/river"
)

// AddWorkers registers the package's jobs.
func (r *Reader) AddWorkers(workers *river.Workers) {
	river.AddWorker(workers, &unparkWorker{reader: r})
}

type unparkWorker struct {
	river.WorkerDefaults[UnparkArgs]
	reader *Reader
}

// Work tries until nothing is parked: at first every second, later every ten minutes.
func (w *unparkWorker) Work(ctx context.Context, job *river.Job[UnparkArgs]) error {
	left, err := w.reader.unpark(ctx, job.Args.Group)
	if err != nil || left > 0 {
		return river.JobSnooze(patience(time.Since(job.CreatedAt)))
	}
	return nil
}

// soon is how an unpark job is left: not before the transaction that parks has ended. The queue lives by the database's time.
func soon() *river.InsertOpts {
	return &river.InsertOpts{ScheduledAt: time.Now().Add(time.Second)} //nolint:forbidigo // the queue's own clock
}

// patience is how long what is parked waits for its next try, by its age.
func patience(age time.Duration) time.Duration { return min(max(age/10, time.Second), 10*time.Minute) }

// A job whose process died is run again after a minute. What is parked may be money, so every task looks itself for what has lain
// for a while and is due: to try twice does no harm.
const (
	sweepEvery = 2 * time.Second
	lainFor    = 5 * time.Second
	sweepRows  = 100
)

// sweep tries what is parked until ctx is over.
func (r *Reader) sweep(ctx context.Context) {
	next := map[string]time.Time{} // by group: before this it is not tried again by this task
	for ctx.Err() == nil {
		pause(ctx, sweepEvery)
		if err := r.tryParked(ctx, next); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "feed: parked events not looked at", "error", err)
		}
	}
}

// tryParked tries what is parked and due by next, which it brings up to date.
func (r *Reader) tryParked(ctx context.Context, next map[string]time.Time) error {
	now := r.Clock()
	maps.DeleteFunc(next, func(_ string, at time.Time) bool { return !now.Before(at) })
	groups, err := r.parkedGroups(ctx, now.Add(-lainFor), slices.Collect(maps.Keys(next)))
	if err != nil {
		return err
	}
	for _, g := range groups {
		left, err := r.unpark(ctx, g.name)
		if err != nil {
			return err
		}
		if left > 0 {
			next[g.name] = now.Add(patience(now.Sub(g.since)))
		}
	}
	return nil
}
