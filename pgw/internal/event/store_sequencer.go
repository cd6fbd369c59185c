package event

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/stats"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Sequencer gives committed events their positions.
type Sequencer struct {
	db  *pgxpool.Pool
	now clock.Clock
}

// NewSequencer makes a sequencer; now is for its metrics only.
func NewSequencer(db *pgxpool.Pool, now clock.Clock) *Sequencer {
	return &Sequencer{db: db, now: now}
}

var everyFeed = postgres.CrossTenant("pgw.sequencer")

// begin looks where the outbox's end is. The order of the two questions matters: see tail.
func (s *Sequencer) begin(ctx context.Context) (t *tail, err error) {
	err = postgres.InReadTx(ctx, s.db, everyFeed, "pgw.event.begin", func(ctx context.Context, tx pgx.Tx) error {
		q := pgwdb.New(tx)
		last, err := q.OutboxLast(ctx)
		if err != nil {
			return err
		}
		writers, err := q.OutboxWriters(ctx)
		t = newTail(last, writers)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("end of the outbox: %w", err)
	}
	return t, nil
}

// number gives one batch its positions and says how many events it had.
func (s *Sequencer) number(ctx context.Context, t *tail) (n int, err error) {
	after, gaps := t.next()
	var row pgwdb.NumberEventsRow
	err = postgres.InTx(ctx, s.db, everyFeed, "pgw.event.number", func(ctx context.Context, tx pgx.Tx) error {
		q := pgwdb.New(tx)
		if err := q.LockNumbering(ctx); err != nil {
			return err
		}
		// A new statement, so that it sees what the one before in the queue has done.
		row, err = q.NumberEvents(ctx, pgwdb.NumberEventsParams{After: after, BatchSize: batchSize, Gaps: gaps})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("number events: %w", err)
	}
	count(ctx, s.now, int(row.Numbered), row.Oldest)
	return int(row.Numbered), t.took(row.Taken, row.Numbered >= batchSize)
}

// census lets the tail know which transactions write, when it wonders.
func (s *Sequencer) census(ctx context.Context, t *tail) error {
	return postgres.InReadTx(ctx, s.db, everyFeed, "pgw.event.census", func(ctx context.Context, tx pgx.Tx) error {
		writers, err := pgwdb.New(tx).OutboxWriters(ctx)
		if err == nil {
			t.census(writers)
		}
		return err
	})
}

// Figures reads what waits for a position. Whoever reads it need not be the one that numbers: it also rises when nobody does.
func (s *Sequencer) Figures() stats.Read {
	return stats.Read{Name: "events", Of: []*names.Observed{names.EventsWaiting}, Take: func(ctx context.Context, say names.Say) error {
		n, err := s.waiting(ctx)
		if err != nil {
			return fmt.Errorf("events that wait: %w", err)
		}
		say(names.EventsWaiting, float64(n))
		return nil
	}}
}

// waiting counts committed events without a position.
func (s *Sequencer) waiting(ctx context.Context) (n int64, err error) {
	err = postgres.InReadTx(ctx, s.db, everyFeed, "pgw.event.measure", func(ctx context.Context, tx pgx.Tx) error {
		n, err = pgwdb.New(tx).OutboxWaiting(ctx)
		return err
	})
	return n, err
}

func (s *Sequencer) setWaiting(ctx context.Context, waiting bool) error {
	return postgres.InTx(ctx, s.db, everyFeed, "pgw.event.waiting", func(ctx context.Context, tx pgx.Tx) error {
		return pgwdb.New(tx).SetSequencerWaiting(ctx, waiting)
	})
}

// lease is a session lock on a connection of its own, which also hears the writers.
type lease struct {
	conn *pgx.Conn
	beat time.Time
}

const leaseKey = "hashtextextended('pgw.event.lease', 0)"

// takeLease returns nil when another holds it; one that holds it without a sign of life loses its connection.
func takeLease(ctx context.Context, db *pgxpool.Pool) (*lease, error) {
	conn, err := dedicated(ctx, db)
	if err != nil {
		return nil, err
	}
	var mine bool
	err = conn.QueryRow(ctx, "SELECT pg_try_advisory_lock("+leaseKey+")").Scan(&mine)
	if err == nil && mine {
		_, err = conn.Exec(ctx, "LISTEN "+outboxChannel)
	}
	if err != nil || !mine {
		if err == nil {
			err = evict(ctx, conn)
		}
		hangUp(ctx, conn)
		return nil, err
	}
	return &lease{conn: conn, beat: time.Now()}, nil //nolint:forbidigo // a heartbeat, no decision
}

// evict ends the connection of a holder that has been silent: its process hangs or its machine is gone. Its transactions end
// with it.
func evict(ctx context.Context, conn *pgx.Conn) error {
	tag, err := conn.Exec(ctx, `
		SELECT pg_terminate_backend(l.pid)
		FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
		  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		  AND ((l.classid::bigint << 32) | l.objid::bigint) = `+leaseKey+`
		  AND a.query_start < clock_timestamp() - $1::interval`, staleAfter.String())
	if err == nil && tag.RowsAffected() > 0 {
		slog.WarnContext(ctx, "event sequencer: ended the connection of a silent leader")
	}
	return err
}

// wait returns after d, or sooner when a writer notifies. An error means that the lease is gone.
func (l *lease) wait(ctx context.Context, d time.Duration) error {
	if time.Since(l.beat) > heartbeat {
		if _, err := l.conn.Exec(ctx, "SELECT 1"); err != nil {
			return fmt.Errorf("lease: %w", err)
		}
		l.beat = time.Now() //nolint:forbidigo // a heartbeat, no decision
	}
	limit, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	_, err := l.conn.WaitForNotification(limit)
	if err == nil || (errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err)) && !l.conn.IsClosed() {
		return nil
	}
	return fmt.Errorf("lease: %w", err)
}

func (l *lease) release(ctx context.Context) { hangUp(ctx, l.conn) }

// NewEpoch makes every cursor handed out so far expire: after a restore, when positions were lost, or to change the number of
// shards (which moves merchants between feeds). It returns the new epoch.
func NewEpoch(ctx context.Context, db *pgxpool.Pool, shards int16) (string, error) {
	epoch := strings.ToLower(rand.Text()[:8])
	err := postgres.InTx(ctx, db, everyFeed, "pgw.event.epoch", func(ctx context.Context, tx pgx.Tx) error {
		return pgwdb.New(tx).NewEpoch(ctx, pgwdb.NewEpochParams{Epoch: epoch, Shards: shards})
	})
	return epoch, err
}
