package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/stats"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// Watch looks at the ledger again and again for what does not come to zero: at the newest each time, and in two rounds at the last
// two days and at all that is kept. A line may be deleted or changed at any age, by somebody whom no trigger stops. What it finds it
// keeps in the database until it comes to zero, with where its rounds are: whoever watches next goes on from there. One at a time
// may use it.
//
// A round reads at most 400,000 lines a look, which takes 0.9 s when they are in memory (one processor of the database's). At a look
// every 15 s all that is kept is seen within a day as long as it is less than two thousand million lines: 2.7 years at a million
// transactions a day. At 80 million a day the last two days are seen in four hours, and each month that is kept in two and a half days.
type Watch struct {
	db       *pgxpool.Pool
	patience time.Duration // of one read
	newest   stride        // seconds
	rounds   []*round
}

// stride is how much is read at once. A read that takes too long halves it; one that is quick doubles it.
type stride struct{ now, least, most int64 }

func (s *stride) shorten() (shorter bool) {
	shorter = s.now > s.least
	s.now = max(s.now/2, s.least)
	return shorter
}

func (s *stride) lengthen() { s.now = min(2*s.now, s.most) }

// round goes through the ledger from a first id to the end, and begins anew.
type round struct {
	name   string
	lines  stride
	recent time.Duration // how far back it begins; 0: at the first line
}

const (
	watchPatience = 5 * time.Second
	// watchLap bounds a step where there are few lines: that many days' tables are read at once.
	watchLap = 31 * 24 * time.Hour
	// unbalancedMost is the limit of LedgerUnbalanced.
	unbalancedMost = 1000
)

var watching = postgres.CrossTenant("ledger.watch")

// NewWatch makes one.
func NewWatch(db *pgxpool.Pool) *Watch {
	lines := stride{now: 50_000, least: 1_000, most: 400_000}
	return &Watch{
		// A transaction's id is older than its commit: the newest are those of two minutes.
		db: db, patience: watchPatience, newest: stride{now: 120, least: 15, most: 120},
		rounds: []*round{{name: "recent", lines: lines, recent: 48 * time.Hour}, {name: "all", lines: lines}},
	}
}

// Figures says by how much the ledger is off. It reads with a time limit of its own.
func Figures(db *pgxpool.Pool, now clock.Clock) stats.Read {
	w := NewWatch(db)
	return stats.Read{
		Name: "ledger", Within: 5 * watchPatience, Of: []*names.Observed{names.LedgerImbalance},
		Take: func(ctx context.Context, say names.Say) error {
			off, err := w.Look(ctx, now())
			if err != nil {
				return fmt.Errorf("the ledger: %w", err)
			}
			say(names.LedgerImbalance, float64(off))
			return nil
		},
	}
}

// Look reads the newest and a step of each round, and says by how much transactions do not come to zero, without signs. A read that
// takes too long is no error while the next one can be shorter.
func (w *Watch) Look(ctx context.Context, now time.Time) (off int64, err error) {
	failed := w.read(ctx, "newest", &w.newest, func(ctx context.Context, tx pgx.Tx) error {
		found, err := Unbalanced(ctx, tx, now.Add(-time.Duration(w.newest.now)*time.Second), time.Time{})
		if err != nil {
			return err
		}
		return keep(ctx, tx, found, now)
	})
	for _, r := range w.rounds {
		failed = errors.Join(failed, w.read(ctx, r.name, &r.lines, func(ctx context.Context, tx pgx.Tx) error { return r.step(ctx, tx, now) }))
	}
	if failed != nil {
		return 0, failed
	}
	ctx, cancel := context.WithTimeout(ctx, w.patience)
	defer cancel()
	err = postgres.InTx(ctx, w.db, watching, "pgw.ledger.watch", func(ctx context.Context, tx pgx.Tx) error {
		off, err = lookAgain(ctx, tx, now)
		return err
	})
	return off, err
}

func (w *Watch) read(ctx context.Context, name string, much *stride, do func(context.Context, pgx.Tx) error) error {
	limit, cancel := context.WithTimeout(ctx, w.patience)
	defer cancel()
	began := time.Now() //nolint:forbidigo // how long the database takes, not what time it is
	err := postgres.InTx(limit, w.db, watching, "pgw.ledger.watch", do)
	if err == nil {
		if time.Since(began) < w.patience/5 {
			much.lengthen()
		}
		return nil
	}
	if limit.Err() != nil && ctx.Err() == nil && much.shorten() {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

// step reads the next lines of the round and notes where it goes on.
func (r *round) step(ctx context.Context, tx pgx.Tx, now time.Time) error {
	q := pgwdb.New(tx)
	from, err := r.from(ctx, q, now)
	if err != nil || from == "" {
		return err
	}
	born, err := id.ParseULID(Prefix, from)
	if err != nil {
		born = now // an id that is none of ours is read as well
	}
	until, err := q.LedgerStepEnd(ctx, pgwdb.LedgerStepEndParams{FromID: from, FarID: id.ULIDFloor(Prefix, born.Add(watchLap)), Lines: r.lines.now})
	if err != nil {
		return err
	}
	found, err := unbalanced(ctx, tx, from, until)
	if err != nil {
		return err
	}
	if len(found) == unbalancedMost && found[unbalancedMost-1].TransactionID > from {
		until = found[unbalancedMost-1].TransactionID // there may be more behind it
	}
	if err := keep(ctx, tx, found, now); err != nil {
		return err
	}
	if until >= id.ULIDFloor(Prefix, now) || until <= from {
		until = "" // what is younger are the newest
	}
	return q.LedgerWatched(ctx, pgwdb.LedgerWatchedParams{Round: r.name, NextID: until, At: now})
}

// from is where the round goes on; "" when there is nothing.
func (r *round) from(ctx context.Context, q *pgwdb.Queries, now time.Time) (string, error) {
	next, err := q.LedgerWatchNext(ctx, r.name)
	if err != nil {
		return "", err
	}
	if r.recent > 0 {
		return max(next, id.ULIDFloor(Prefix, now.Add(-r.recent))), nil
	}
	if next == "" {
		return q.LedgerFirst(ctx)
	}
	return next, nil
}

// keep notes what was found, each transaction once.
func keep(ctx context.Context, tx pgx.Tx, found []Off, now time.Time) error {
	off := map[string]int64{}
	for _, o := range found {
		off[o.TransactionID] += max(o.By.Minor, -o.By.Minor)
	}
	q := pgwdb.New(tx)
	for _, o := range found {
		err := q.LedgerKeepImbalance(ctx, pgwdb.LedgerKeepImbalanceParams{
			TransactionID: o.TransactionID, PartnerID: o.PartnerID, Mode: o.Mode, Off: off[o.TransactionID], At: now,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lookAgain looks at a thousand of those that were found, those seen longest ago, lets go those that come to zero, and says by how
// much all are off.
func lookAgain(ctx context.Context, tx pgx.Tx, now time.Time) (int64, error) {
	q := pgwdb.New(tx)
	ids, err := q.LedgerImbalancesToLookAt(ctx)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	rows, err := q.LedgerStillUnbalanced(ctx, ids)
	if err != nil {
		return 0, err
	}
	off := map[string]int64{}
	for _, r := range rows {
		off[r.TransactionID] += max(r.Off, -r.Off)
	}
	var over []string
	for _, transaction := range ids {
		if off[transaction] == 0 {
			over = append(over, transaction)
			continue
		}
		if err := q.LedgerImbalanceLooked(ctx, pgwdb.LedgerImbalanceLookedParams{TransactionID: transaction, Off: off[transaction], At: now}); err != nil {
			return 0, err
		}
	}
	if err := q.LedgerImbalancesOver(ctx, over); err != nil {
		return 0, err
	}
	return q.LedgerOff(ctx)
}
