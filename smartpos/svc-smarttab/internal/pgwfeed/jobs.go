package pgwfeed

import (
	"context"
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
		return river.JobSnooze(min(max(time.Since(job.CreatedAt)/10, time.Second), 10*time.Minute))
	}
	return nil
}

// soon is how an unpark job is left: not before the transaction that parks has ended. The queue lives by the database's time.
func soon() *river.InsertOpts {
	return &river.InsertOpts{ScheduledAt: time.Now().Add(time.Second)} //nolint:forbidigo // the queue's own clock
}
