package ledger_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/mpac-cloud/mpac/pgw/internal/ledger"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb/pgwdbtest"
	"github.com/mpac-cloud/mpac/platform/postgres/pgtest"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// posted has a payment in the ledger, made at the time, and is the id of its transaction.
func posted(t *testing.T, db *pgtest.DB, attempt string, amount int64, at time.Time) (transaction string) {
	t.Helper()
	p := payment(attempt, amount)
	p.At, p.OccurredAt = at, at
	if err := post(db.Pool(pgwdb.RoleBackend), ledger.Captured(p)); err != nil {
		t.Fatal(err)
	}
	err := db.AdminPool().QueryRow(t.Context(), `SELECT transaction_id FROM pgw.ledger_lines WHERE attempt_id = $1 LIMIT 1`, "pa_"+attempt).Scan(&transaction)
	if err != nil {
		t.Fatal(err)
	}
	return transaction
}

func damage(t *testing.T, db *pgtest.DB, transaction string) {
	t.Helper()
	tamper(t, db, `DELETE FROM pgw.ledger_lines WHERE transaction_id = $1 AND account = 'merchant_payable'`, transaction)
}

func watch(db *pgtest.DB) *ledger.Watch { return ledger.NewWatch(db.Pool(pgwdb.RoleBackend)) }

func look(t *testing.T, w *ledger.Watch, at time.Time) int64 {
	t.Helper()
	off, err := w.Look(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	return off
}

// Somebody damages what is old while the watch runs. It is told until it is put right, also by the task that watches next.
func TestOldDamageIsFoundAndKept(t *testing.T) {
	t.Parallel()
	for name, age := range map[string]time.Duration{"new": 0, "11 minutes": 11 * time.Minute, "two days": 49 * time.Hour, "two years": 730 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, now := pgwdbtest.New(t), noon.Add(365*24*time.Hour)
			transaction := posted(t, db, "a", 500, now.Add(-age))
			posted(t, db, "b", 70, now.Add(-740*24*time.Hour))
			seen := watch(db)
			for range 30 {
				if off := look(t, seen, now); off != 0 {
					t.Fatalf("whole, it is off by %d", off)
				}
				now = now.Add(15 * time.Second)
			}
			damage(t, db, transaction)
			found := int64(0)
			for range 30 { // a lap of a month each, from the oldest line
				found, now = look(t, seen, now), now.Add(15*time.Second)
			}
			if found != 500 {
				t.Fatalf("damaged, it is off by %d", found)
			}
			next := watch(db) // a release
			for _, later := range []time.Duration{0, 2 * 24 * time.Hour, 100 * 24 * time.Hour} {
				if off := look(t, next, now.Add(later)); off != 500 {
					t.Errorf("the next to watch, %s later, says %d", later, off)
				}
			}
			if out, err := operator(db.Pool(pgwdb.RoleBackend), "check"); err == nil || strings.Count(out, transaction) != 1 {
				t.Errorf("an operator is not told of it, or twice: %v\n%s", err, out)
			}
			if out, err := complete(db.Pool(pgwdb.RoleBackend), "approve", proposed(t, db.Pool(pgwdb.RoleBackend), transaction), byTaro); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if off := look(t, next, now); off != 0 {
				t.Errorf("put right it is off by %d", off)
			}
			if off := look(t, watch(db), now); off != 0 {
				t.Errorf("put right, the next says %d", off)
			}
		})
	}
}

// A round reads in steps, is taken over where it is, and comes to every line whatever the step cuts.
func TestARoundComesToEveryLine(t *testing.T) {
	t.Parallel()
	db := pgwdbtest.New(t)
	var all []string
	for i := range 40 {
		all = append(all, posted(t, db, fmt.Sprint("p", i), 1, noon.Add(time.Duration(i)*time.Hour)))
	}
	for _, transaction := range all {
		damage(t, db, transaction)
	}
	off, looks := int64(0), 0
	for now := noon.Add(90 * 24 * time.Hour); off < 40 && looks < 60; looks++ {
		w := watch(db) // each look is another's
		w.Step(3)
		off, now = look(t, w, now), now.Add(15*time.Second)
	}
	if off != 40 || looks < 10 {
		t.Errorf("after %d looks it is off by %d", looks, off)
	}
	var whole bool
	w := watch(db)
	for range 6 {
		look(t, w, noon.Add(90*24*time.Hour))
	}
	if err := db.AdminPool().QueryRow(t.Context(), `SELECT whole_at IS NOT NULL FROM pgw.ledger_watch WHERE round = 'all'`).Scan(&whole); err != nil || !whole {
		t.Errorf("no round is noted as whole (%v)", err)
	}
}

// More is damaged than one look tells: all of it is told in the end.
func TestMuchDamageIsTold(t *testing.T) {
	t.Parallel()
	db := pgwdbtest.New(t)
	const many = 1700
	var postings []ledger.Transaction
	for i := range many {
		postings = append(postings, ledger.Captured(payment(fmt.Sprint("p", i), 2)))
	}
	if err := post(db.Pool(pgwdb.RoleBackend), postings...); err != nil {
		t.Fatal(err)
	}
	tamper(t, db, `UPDATE pgw.ledger_lines SET amount = 3 WHERE account = 'provider_receivable'`)
	w, off := watch(db), int64(0)
	for range 8 {
		off = look(t, w, noon.Add(24*time.Hour))
	}
	if off != many {
		t.Errorf("it is off by %d of %d", off, many)
	}
	tamper(t, db, `UPDATE pgw.ledger_lines SET amount = 2 WHERE account = 'provider_receivable'`)
	for range 8 {
		off = look(t, w, noon.Add(24*time.Hour))
	}
	if off != 0 {
		t.Errorf("put right it is off by %d", off)
	}
}

// A read that takes too long is shorter the next time, until there is no shorter one: that is an error. When the database answers
// again, the steps grow and the round goes on.
func TestStepsShrinkWhenReadsTakeTooLong(t *testing.T) {
	t.Parallel()
	db := pgwdbtest.New(t)
	damage(t, db, posted(t, db, "a", 500, noon.Add(-100*24*time.Hour)))
	w := watch(db)
	w.Hurry(100 * time.Millisecond)
	first := w.Strides()
	lock, err := db.AdminPool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := lock.Exec(t.Context(), `LOCK TABLE pgw.ledger_lines`); err != nil {
		t.Fatal(err)
	}
	looks, before := 0, first
	for ; err == nil && looks < 20; looks++ {
		_, err = w.Look(t.Context(), noon)
		if now := w.Strides(); err == nil && slices.Equal(now, before) {
			t.Fatalf("look %d reads %v again", looks, now)
		}
		before = w.Strides()
	}
	if err == nil || looks < 3 || before[1] >= first[1] {
		t.Fatalf("after %d looks %v: %v", looks, before, err)
	}
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Hurry(time.Minute)
	off := int64(0)
	for range 10 {
		off = look(t, w, noon)
	}
	if now := w.Strides(); off != 500 || now[0] != first[0] || now[1] <= first[1] {
		t.Errorf("it is off by %d, strides are %v, at first %v", off, now, first)
	}
}

// The metric says it; while the ledger cannot be read it says nothing.
func TestTheFigureOfTheLedger(t *testing.T) {
	t.Parallel()
	db := pgwdbtest.New(t)
	read := ledger.Figures(db.Pool(pgwdb.RoleBackend), func() time.Time { return noon })
	take := func() (said []float64, err error) {
		err = read.Take(t.Context(), func(of *names.Observed, v float64, _ ...attribute.KeyValue) {
			if of == names.LedgerImbalance {
				said = append(said, v)
			}
		})
		return said, err
	}
	if said, err := take(); err != nil || !slices.Equal(said, []float64{0}) {
		t.Errorf("%v, %v", said, err)
	}
	damage(t, db, posted(t, db, "a", 500, noon))
	if said, err := take(); err != nil || !slices.Equal(said, []float64{500}) {
		t.Errorf("%v, %v", said, err)
	}
	if _, err := db.AdminPool().Exec(t.Context(), "REVOKE SELECT ON pgw.ledger_lines FROM pgw_backend"); err != nil {
		t.Fatal(err)
	}
	if said, err := take(); err == nil || len(said) != 0 {
		t.Errorf("%v, %v", said, err)
	}
}
