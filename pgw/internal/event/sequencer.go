package event

import (
	"context"
	"log/slog"
	"time"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// The sequencer's pace.
const (
	// batchSize bounds one transaction of the sequencer.
	batchSize = 2000
	// While there is work it looks every busyPoll, and writers do not notify it. After quiet without any it has them notify,
	// and looks every idlePoll for the event of a transaction that began before.
	busyPoll = 20 * time.Millisecond
	idlePoll = 100 * time.Millisecond
	quiet    = time.Second
	// How often the open writers are counted while there are gaps.
	censusEvery = 250 * time.Millisecond
	// A standby tries for the lease this often. The lease is a lock of a connection, so a process that dies gives it back at once.
	standbyPoll = 500 * time.Millisecond
	// heartbeat is how often the holder shows that it lives; after staleAfter without, another ends its connection.
	heartbeat  = time.Second
	staleAfter = 5 * time.Second
)

// Run numbers events until ctx is over. Any number of processes may run one; one of them leads. Safety does not hang on the
// lease: each batch is one transaction under a lock, so two leaders would only take turns.
func (s *Sequencer) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.campaign(ctx)
		if err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "event sequencer: trying again soon", "error", err)
		}
		pause(ctx, standbyPoll)
	}
}

// campaign leads for as long as it holds the lease; nil when another has it.
func (s *Sequencer) campaign(ctx context.Context) error {
	held, err := takeLease(ctx, s.db)
	if err != nil || held == nil {
		return err
	}
	defer held.release(ctx)
	slog.InfoContext(ctx, "event sequencer: leading")
	return s.lead(ctx, held)
}

func (s *Sequencer) lead(ctx context.Context, held *lease) error {
	t, err := s.begin(ctx)
	if err != nil {
		return err
	}
	worked, counted := time.Now(), time.Time{} //nolint:forbidigo // its pace, no decision
	waiting := false
	for ctx.Err() == nil {
		n, err := s.number(ctx, t)
		if err != nil {
			return err
		}
		if n > 0 {
			worked = time.Now() //nolint:forbidigo // see above
		}
		if t.wondering() && time.Since(counted) > censusEvery {
			if err := s.census(ctx, t); err != nil {
				return err
			}
			counted = time.Now() //nolint:forbidigo // see above
		}
		if n >= batchSize {
			continue
		}
		if rest := time.Since(worked) > quiet; rest != waiting {
			waiting = rest
			if err := s.setWaiting(ctx, waiting); err != nil {
				return err
			}
			// Once more at once: an event committed before anyone could see the flag.
			continue
		}
		patience := busyPoll
		if waiting {
			patience = idlePoll
		}
		if err := held.wait(ctx, patience); err != nil {
			return err
		}
	}
	return nil
}

// count counts a batch; now is the time that events are born by.
func count(ctx context.Context, now clock.Clock, n int, oldest string) {
	if n == 0 {
		return
	}
	names.EventsNumbered.Add(ctx, int64(n))
	if born, err := id.ParseULID(Prefix, oldest); err == nil {
		names.EventsLag.Record(ctx, max(now().Sub(born).Seconds(), 0))
	}
}
