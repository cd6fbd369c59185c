package intent

import (
	"context"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/jobs"
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

// AskSoon makes the gateway ask about a payment without waiting for the answer. attemptID is ours, paymentID the provider's
// own; either may be empty or made up.
func (s *Service) AskSoon(ctx context.Context, queue *jobs.Client, providerName, attemptID, paymentID string) error {
	if attemptID == "" && paymentID != "" {
		var err error
		if attemptID, err = s.attemptByPayment(ctx, providerName, paymentID); err != nil {
			return err
		}
	}
	if _, err := id.ParseULID(AttemptPrefix, attemptID); err != nil {
		return nil //nolint:nilerr // not one of ours: there is nothing to ask about
	}
	// Not unique: a question that is under way may have been asked just before what this one is about.
	if _, err := queue.Insert(ctx, AskArgs{AttemptID: attemptID}, nil); err != nil {
		return fmt.Errorf("queue a question to %s: %w", providerName, err)
	}
	return nil
}

// notBefore puts a job off, by the queue's clock: that is the machine's, also where the process's is moved.
func notBefore(after time.Duration) *river.InsertOpts {
	return &river.InsertOpts{ScheduledAt: time.Now().Add(after)} //nolint:forbidigo // as it says
}
