// Package stats reads figures out of databases at an interval and shows them as metrics. Of a service's tasks one does it, the one
// that holds an advisory lock; the others show nothing, so that a sum over tasks is the figure. No request waits for it.
package stats

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"

	"github.com/mpac-cloud/mpac/platform/telemetry"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Config is how often figures are read.
type Config struct {
	Every time.Duration `env:"STATS_INTERVAL" envDefault:"15s" doc:"how often one task reads the figures that come from PostgreSQL and Redis"`
}

// Read is a group of figures that are read together.
type Read struct {
	Name string // in the metric that tells which reads fail: one of names.FiguresRead's
	Of   []*names.Observed
	// Within bounds it; 0 is the interval, at least ten seconds.
	Within time.Duration
	Take   func(ctx context.Context, say names.Say) error
}

// Run reads until ctx is over, whenever this task holds the lock of the given name. Without telemetry it does nothing.
func Run(ctx context.Context, pool *pgxpool.Pool, name string, cfg Config, reads ...Read) {
	if !telemetry.Measuring() {
		return
	}
	newSheet(reads).run(ctx, pool, name, cfg.Every)
}

// value is one figure.
type value struct {
	of    *names.Observed
	value float64
	attrs []attribute.KeyValue
}

// sheet is what was read last; empty while another task leads.
type sheet struct {
	reads []Read

	mu     sync.Mutex
	values [][]value // by read
	ended  []ending  // by read
}

// ending is how a read ended last.
type ending int

const (
	notRead ending = iota
	wentWell
	failed
)

func newSheet(reads []Read) *sheet {
	return &sheet{reads: reads, values: make([][]value, len(reads)), ended: make([]ending, len(reads))}
}

func (s *sheet) run(ctx context.Context, pool *pgxpool.Pool, name string, every time.Duration) {
	of := []*names.Observed{names.FiguresFailing}
	for _, r := range s.reads {
		of = append(of, r.Of...)
	}
	defer names.Observe(s.show, of...)()
	for ctx.Err() == nil {
		if err := s.lead(ctx, pool, name, every); err != nil && ctx.Err() == nil {
			slog.DebugContext(ctx, "stats: trying again soon", "error", err)
		}
		pause(ctx, every)
	}
}

func (s *sheet) show(_ context.Context, say names.Say) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, values := range s.values {
		for _, v := range values {
			say(v.of, v.value, v.attrs...)
		}
	}
	for i, end := range s.ended {
		switch end {
		case wentWell:
			say(names.FiguresFailing, 0, names.FiguresRead.Is(s.reads[i].Name))
		case failed:
			say(names.FiguresFailing, 1, names.FiguresRead.Is(s.reads[i].Name))
		case notRead:
		}
	}
}

// lead reads for as long as it holds the lock; nil when another task has it. The lock is one of a connection: a task that dies
// gives it back.
func (s *sheet) lead(ctx context.Context, pool *pgxpool.Pool, name string, every time.Duration) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("stats: %w", err)
	}
	defer conn.Release()
	var held bool
	if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock(hashtextextended('stats:' || $1, 0))", name).Scan(&held); err != nil || !held {
		return err
	}
	defer s.clear()
	defer func() {
		// A connection that cannot give the lock back is closed, which gives it back.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_unlock(hashtextextended('stats:' || $1, 0))", name); err != nil {
			_ = conn.Conn().Close(ctx)
		}
	}()
	for ctx.Err() == nil {
		s.take(ctx, every)
		pause(ctx, every)
		if err := conn.Ping(ctx); err != nil {
			return fmt.Errorf("stats: the lock's connection: %w", err)
		}
	}
	return nil
}

// patience bounds a read, however short the interval.
const patience = 10 * time.Second

// take reads everything once. A read that fails shows nothing until it succeeds, but that it fails.
func (s *sheet) take(ctx context.Context, every time.Duration) {
	for i, r := range s.reads {
		var values []value
		within := r.Within
		if within == 0 {
			within = max(every, patience)
		}
		limit, cancel := context.WithTimeout(ctx, within)
		err := r.Take(limit, func(of *names.Observed, v float64, attrs ...attribute.KeyValue) {
			values = append(values, value{of, v, attrs})
		})
		cancel()
		if err != nil && ctx.Err() != nil {
			return // we are ending, and it did not fail
		}
		s.note(ctx, i, values, err)
	}
}

func (s *sheet) note(ctx context.Context, i int, values []value, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.values[i], s.ended[i] = values, wentWell
		return
	}
	if s.ended[i] != failed {
		slog.WarnContext(ctx, "stats: figures can't be read", "read", s.reads[i].Name, "error", err)
	}
	s.values[i], s.ended[i] = nil, failed
}

func (s *sheet) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.values)
	clear(s.ended)
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
