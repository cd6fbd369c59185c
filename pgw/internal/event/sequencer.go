package event

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/id"
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

// measureEvery is how often each task counts what waits for a position.
const measureEvery = 15 * time.Second

// measure counts what waits, now and then. It is no reason to stop.
func (s *Sequencer) measure(ctx context.Context) {
	if time.Since(s.gauges.measured) < measureEvery {
		return
	}
	s.gauges.measured = time.Now() //nolint:forbidigo // its pace, no decision
	if waiting, err := s.waiting(ctx); err == nil {
		s.gauges.waiting.Record(ctx, waiting)
	}
}

// Run numbers events until ctx is over. Any number of processes may run one; one of them leads. Safety does not hang on the
// lease: each batch is one transaction under a lock, so two leaders would only take turns.
func (s *Sequencer) Run(ctx context.Context) {
	for ctx.Err() == nil {
		s.measure(ctx)
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
		s.measure(ctx)
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

// gauges are the sequencer's figures.
type gauges struct {
	numbered metric.Int64Counter
	lag      metric.Float64Histogram
	waiting  metric.Int64Gauge
	now      clock.Clock
	measured time.Time
}

func newGauges(now clock.Clock) gauges {
	meter := otel.Meter("github.com/mpac-cloud/mpac/pgw/internal/event")
	numbered, _ := meter.Int64Counter("pgw.event.numbered", metric.WithDescription("events that got their position"))
	lag, _ := meter.Float64Histogram("pgw.event.lag", metric.WithUnit("s"),
		metric.WithDescription("from an event's birth to its position, for the oldest of each batch"))
	waiting, _ := meter.Int64Gauge("pgw.event.waiting", metric.WithDescription("committed events without a position, counted up to 10000; said by every task, so that it also rises when no sequencer works"))
	return gauges{numbered: numbered, lag: lag, waiting: waiting, now: now}
}

func (g gauges) batch(ctx context.Context, n int, oldest string) {
	if n == 0 {
		return
	}
	g.numbered.Add(ctx, int64(n))
	if born, err := id.ParseULID(Prefix, oldest); err == nil {
		g.lag.Record(ctx, g.now().Sub(born).Seconds())
	}
}
