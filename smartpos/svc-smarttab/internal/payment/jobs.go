package payment

import (
	"context"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
)

// AddWorkers registers the package's jobs.
func (s *Service) AddWorkers(workers *river.Workers) {
	river.AddWorker(workers, &reportWorker{service: s})
	river.AddWorker(workers, &openWorker{service: s})
	river.AddWorker(workers, &refundWorker{service: s})
}

// until turns work that is not done into one more try later, for as long as it takes: the outbox gives nothing up.
func until(ctx context.Context, kind string, ref Ref, done bool, age time.Duration, err error) error {
	if done && err == nil {
		return nil
	}
	wait := patience(age)
	level := slog.LevelInfo
	if age > stuckAfter {
		level = slog.LevelError
	}
	slog.Log(ctx, level, "payment: the gateway is asked again", "job", kind, "payment_id", ref.PaymentID, "age", age.String(), "wait", wait.String(), "error", err)
	return river.JobSnooze(wait)
}

// stuckAfter is the age from which work that is not done is an alarm.
const stuckAfter = 5 * time.Minute

type reportWorker struct {
	river.WorkerDefaults[ReportArgs]
	service *Service
}

// Work tells the gateway of one payment, or puts itself off.
func (w *reportWorker) Work(ctx context.Context, job *river.Job[ReportArgs]) error {
	done, age, err := w.service.report(ctx, job.Args.Ref)
	return until(ctx, job.Kind, job.Args.Ref, done, age, err)
}

type openWorker struct {
	river.WorkerDefaults[OpenArgs]
	service *Service
}

// Work finds out about one payment, or puts itself off.
func (w *openWorker) Work(ctx context.Context, job *river.Job[OpenArgs]) error {
	done, age, err := w.service.chase(ctx, job.Args.Ref)
	return until(ctx, job.Kind, job.Args.Ref, done, age, err)
}

type refundWorker struct {
	river.WorkerDefaults[RefundArgs]
	service *Service
}

// Work sends one refund, or puts itself off.
func (w *refundWorker) Work(ctx context.Context, job *river.Job[RefundArgs]) error {
	done, age, err := w.service.sendRefund(ctx, job.Args)
	return until(ctx, job.Kind, job.Args.Ref, done, age, err)
}

// soon is when a job looks whether the request that left it has done the work itself. The queue lives by the database's time,
// not by the clock that is passed in.
func soon() *river.InsertOpts {
	return &river.InsertOpts{ScheduledAt: time.Now().Add(openCheckAfter)} //nolint:forbidigo // the queue's own clock
}

const openCheckAfter = 10 * time.Second
