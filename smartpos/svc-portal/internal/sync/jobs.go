package sync

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
)

// Args ask for the sending of a merchant's changes up to and including one. They hold ids only.
type Args struct {
	OutboxID   int64     `json:"outbox_id"`
	PSPID      uuid.UUID `json:"psp_id"`
	MerchantID uuid.UUID `json:"merchant_id"`
	// Now: a person asked for it; do not wait for the backoff of an earlier failure.
	Now bool `json:"now,omitempty"`
}

// Kind names the job.
func (Args) Kind() string { return "pgw_sync" }

// maxAttempts is as good as for ever at a minute's pace: three weeks, and people have been called long before.
const maxAttempts = 32_000

// InsertOpts of the job.
func (Args) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: maxAttempts} }

// Worker sends what waits in the outbox.
type Worker struct {
	river.WorkerDefaults[Args]
	Outbox *Outbox
	Sender *Sender
}

const (
	// leaseFor is how long a task may be the one that sends a merchant's changes without saying so again; a task that dies keeps
	// them waiting no longer. One that is slower than this only sends what another sends too, which versions make harmless.
	leaseFor = 5 * time.Second
	// turnWait is how soon a job asks again whose turn another has.
	turnWait = time.Second
)

// NextRetry backs off like the outbox itself.
func (w *Worker) NextRetry(job *river.Job[Args]) time.Time {
	// River works by the database's own time, which a platform's moved clock does not touch.
	return time.Now().Add(Backoff(job.Attempt)) //nolint:forbidigo // see above
}

// Work sends the merchant's changes in their order until the job's own is done. One that fails stops those behind it.
func (w *Worker) Work(ctx context.Context, job *river.Job[Args]) error {
	return w.send(ctx, job.Args, func(item *Item) bool { return job.Args.Now || item.ID == job.Args.OutboxID })
}

// send works a merchant's turn. What has just failed is sent again at once only where atOnce says so.
func (w *Worker) send(ctx context.Context, a Args, atOnce func(*Item) bool) error {
	turn, err := w.Outbox.takeTurn(ctx, a)
	if err != nil {
		return err
	}
	if turn == nil {
		return river.JobSnooze(turnWait)
	}
	defer turn.end(context.WithoutCancel(ctx))
	for {
		item, wait, err := turn.next(ctx)
		switch {
		case err != nil:
			return err
		case item == nil:
			return nil
		case wait > 0 && !atOnce(item):
			// What stands before this one has just failed and has a job of its own.
			return river.JobSnooze(wait)
		}
		if err := w.sendOne(ctx, turn, item); err != nil {
			return err
		}
	}
}

func (w *Worker) sendOne(ctx context.Context, turn *turn, item *Item) error {
	message, err := turn.message(ctx, item)
	if err == nil {
		err = w.Sender.Send(ctx, message)
	}
	if err == nil {
		return turn.done(ctx, item, message.Version)
	}
	slog.WarnContext(ctx, "sync: the payment gateway has not taken a change",
		"outbox_id", item.ID, "entity", item.Entity, "entity_id", item.EntityID, "attempts", item.Attempts+1, "error", err)
	return errors.Join(err, turn.failed(context.WithoutCancel(ctx), item, err))
}

const (
	// sweepEvery is how often changes are looked for whose task died, and overdueAfter how long they wait before: the queue
	// itself would take up a dead task's job only after a minute.
	sweepEvery   = 2 * time.Second
	overdueAfter = 5 * time.Second
)

// Sweep sends what dead tasks have left behind, until ctx is over.
func (w *Worker) Sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		overdue, err := w.Outbox.overdue(ctx, overdueAfter)
		if err != nil {
			slog.DebugContext(ctx, "sync: sweep", "error", err)
			continue
		}
		for _, a := range overdue {
			// What failed has told its story already; what is snoozed has its own time.
			_ = w.send(ctx, a, func(*Item) bool { return false })
		}
	}
}
