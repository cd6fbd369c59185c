package intent

import (
	"context"
	"time"

	"github.com/riverqueue/river"
)

// AskArgs make the gateway ask the provider about an attempt. The id may be anybody's invention: a webhook brought it.
type AskArgs struct {
	AttemptID string `json:"attempt_id"`
}

// Kind names the job.
func (AskArgs) Kind() string { return "pgw_ask_provider" }

// AskWorker asks.
type AskWorker struct {
	river.WorkerDefaults[AskArgs]
	Service *Service
}

// Work asks once. About a live attempt the sweep goes on asking; about one that was given up the job itself does, until there
// is an answer.
func (w *AskWorker) Work(ctx context.Context, job *river.Job[AskArgs]) error {
	err := w.Service.Sync(ctx, job.Args.AttemptID, "webhook")
	if NotFound.Is(err) {
		return river.JobCancel(err)
	}
	return err
}

// notBefore puts a job off, by the queue's clock: that is the machine's, also where the process's is moved.
func notBefore(after time.Duration) *river.InsertOpts {
	return &river.InsertOpts{ScheduledAt: time.Now().Add(after)} //nolint:forbidigo // as it says
}
