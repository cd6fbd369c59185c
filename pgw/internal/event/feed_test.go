package event_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2" //nolint:depguard // the same run again
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/event"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb/pgwdbtest"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/postgres/pgtest"
	"github.com/mpac-cloud/mpac/platform/problem"
)

const partnerID, merchantID = "cp_test", "m_1"

var tenant = postgres.NewScope("partner_id", partnerID, "mode", "test")

// bundle is a feed with everything that makes it run.
type bundle struct {
	database *pgtest.DB
	db       *pgxpool.Pool
	feed     *event.Feed
	stop     func() // of the sequencer
}

func setup(t *testing.T) *bundle {
	t.Helper()
	database := pgwdbtest.New(t)
	b := &bundle{database: database, db: database.Pool(pgwdb.RoleBackend)}
	hub := event.NewHub()
	b.feed = event.NewFeed(b.db, hub)
	run(t, func(ctx context.Context) { hub.Run(ctx, b.db) })
	b.stop = b.startSequencer(t)
	return b
}

func (b *bundle) startSequencer(t *testing.T) (stop func()) {
	t.Helper()
	return run(t, event.NewSequencer(b.db, clock.System(0)).Run)
}

// run starts work that ends with the test, or with stop.
func run(t *testing.T, work func(context.Context)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); work(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func anEvent(intent string, version int64) event.Event {
	return event.Event{
		PartnerID: partnerID, Mode: "test", MerchantID: merchantID, PaymentIntentID: intent, Version: version,
		Type: event.IntentProcessing, Object: map[string]any{"id": intent, "version": version}, At: time.Now(),
	}
}

func (b *bundle) append(t *testing.T, events ...event.Event) {
	t.Helper()
	err := postgres.InTx(t.Context(), b.db, tenant, "test.append", func(ctx context.Context, tx pgx.Tx) error {
		return event.Append(ctx, tx, events...)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bundle) read(t *testing.T, after string, limit int, wait time.Duration) event.Page {
	t.Helper()
	page, err := b.feed.Read(t.Context(), event.Query{PartnerID: partnerID, Mode: "test", After: after, Limit: limit, Wait: wait})
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// readAll reads until n events have been seen.
func (b *bundle) readAll(t *testing.T, n int) []event.Numbered {
	t.Helper()
	var all []event.Numbered
	deadline := time.Now().Add(30 * time.Second)
	for cursor := ""; len(all) < n; {
		page := b.read(t, cursor, event.MaxLimit, time.Second)
		all, cursor = append(all, page.Events...), page.NextCursor
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d events after 30 s", len(all), n)
		}
	}
	return all
}

// checkOrder fails on a hole, and on an intent whose versions do not ascend.
func checkOrder(t *testing.T, events []event.Numbered) {
	t.Helper()
	versions := map[string]int64{}
	for i, e := range events {
		if e.Position != int64(i)+1 {
			t.Fatalf("event %d has position %d", i, e.Position)
		}
		if e.Version != versions[e.PaymentIntentID]+1 {
			t.Fatalf("position %d: version %d of %s after %d", e.Position, e.Version, e.PaymentIntentID, versions[e.PaymentIntentID])
		}
		versions[e.PaymentIntentID] = e.Version
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for v := range int64(5) {
		b.append(t, anEvent("pi_a", v+1))
	}
	checkOrder(t, b.readAll(t, 5))

	first := b.read(t, "", 2, 0)
	if len(first.Events) != 2 || !first.HasMore || first.Shards != 1 {
		t.Fatalf("first page: %+v", first)
	}
	second := b.read(t, first.NextCursor, 2, 0)
	third := b.read(t, second.NextCursor, 2, 0)
	if len(third.Events) != 1 || third.HasMore || third.Events[0].Position != 5 {
		t.Fatalf("third page: %+v", third)
	}
	rest := b.read(t, third.NextCursor, 2, 0)
	if len(rest.Events) != 0 || rest.NextCursor != third.NextCursor {
		t.Fatalf("behind the end: %+v", rest)
	}
	if string(first.Events[0].Data) != `{"object":{"id":"pi_a","version":1}}` {
		t.Fatalf("data: %s", first.Events[0].Data)
	}
}

func TestLongPollEndsWithTheEvent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	empty := b.read(t, "", 10, 0)
	got := make(chan event.Page)
	go func() {
		page, err := b.feed.Read(context.Background(), event.Query{
			PartnerID: partnerID, Mode: "test", After: empty.NextCursor, Limit: 10, Wait: 20 * time.Second,
		})
		if err != nil {
			t.Error(err)
		}
		got <- page
	}()
	start := time.Now()
	b.append(t, anEvent("pi_a", 1))
	if page := <-got; len(page.Events) != 1 || time.Since(start) > 5*time.Second {
		t.Fatalf("after %s: %+v", time.Since(start), page)
	}
}

func TestTenantsHaveFeedsOfTheirOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.append(t, anEvent("pi_a", 1))
	b.readAll(t, 1)
	for _, q := range []event.Query{{PartnerID: "cp_other", Mode: "test"}, {PartnerID: partnerID, Mode: "live"}} {
		q.Limit = 10
		page, err := b.feed.Read(t.Context(), q)
		if err != nil || len(page.Events) != 0 {
			t.Errorf("%+v sees %d events, %v", q, len(page.Events), err)
		}
	}
	err := postgres.InTx(t.Context(), b.db, tenant, "test.append", func(ctx context.Context, tx pgx.Tx) error {
		e := anEvent("pi_b", 1)
		e.PartnerID = "cp_other"
		return event.Append(ctx, tx, e)
	})
	if err == nil || !strings.Contains(err.Error(), "row-level security") {
		t.Errorf("an event of another partner: %v", err)
	}
}

func TestCursorsThatCannotGoOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.append(t, anEvent("pi_a", 1))
	b.readAll(t, 1)
	cursor := b.read(t, "", 10, 0).NextCursor
	epoch, _, _ := strings.Cut(cursor, ".")
	tests := []struct {
		name, after string
		shard       int16
		want        *problem.Kind
	}{
		{"no cursor", "nonsense", 0, problem.BadCursor},
		{"negative", epoch + ".-1", 0, problem.BadCursor},
		{"leading zero", epoch + ".01", 0, problem.BadCursor},
		{"overflow", epoch + ".99999999999999999999", 0, problem.BadCursor},
		{"injection", epoch + ".1;drop", 0, problem.BadCursor},
		{"another epoch", "aaaaaaaa.1", 0, event.CursorExpired},
		{"from the future", epoch + ".2", 0, event.CursorExpired},
		{"no such shard", cursor, 1, problem.Validation},
		{"negative shard", cursor, -1, problem.Validation},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := b.feed.Read(t.Context(), event.Query{PartnerID: partnerID, Mode: "test", After: tt.after, Shard: tt.shard, Limit: 1})
			if !tt.want.Is(err) {
				t.Errorf("got %v, want %s", err, tt.want.Code)
			}
		})
	}

	if _, err := event.NewEpoch(t.Context(), b.db, 1); err != nil {
		t.Fatal(err)
	}
	_, err := b.feed.Read(t.Context(), event.Query{PartnerID: partnerID, Mode: "test", After: cursor, Limit: 1})
	var expired *problem.Error
	if !errors.As(err, &expired) || expired.Kind() != event.CursorExpired {
		t.Fatalf("after a new epoch: %v", err)
	}
	document, _ := expired.MarshalJSON()
	if !strings.Contains(string(document), `"resync"`) || !strings.Contains(string(document), "updated_from") {
		t.Errorf("no way to resync in %s", document)
	}
	b.append(t, anEvent("pi_a", 2))
	if got := b.readAll(t, 2); len(got) != 2 {
		t.Errorf("from the beginning: %+v", got)
	}
}

func TestShardsFollowTheMerchant(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const shards = 4
	if _, err := event.NewEpoch(t.Context(), b.db, shards); err != nil {
		t.Fatal(err)
	}
	for m := range 20 {
		for v := range int64(2) {
			e := anEvent(fmt.Sprintf("pi_%d", m), v+1)
			e.MerchantID = fmt.Sprintf("m_%d", m)
			b.append(t, e)
		}
	}
	total := 0
	deadline := time.Now().Add(20 * time.Second)
	for total < 40 && time.Now().Before(deadline) {
		total = 0
		merchants := map[string]int16{}
		for shard := range int16(shards) {
			page, err := b.feed.Read(t.Context(), event.Query{PartnerID: partnerID, Mode: "test", Shard: shard, Limit: 100, Wait: 50 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			checkOrder(t, page.Events)
			for _, e := range page.Events {
				if other, seen := merchants[e.MerchantID]; seen && other != shard {
					t.Fatalf("%s is in shards %d and %d", e.MerchantID, other, shard)
				}
				merchants[e.MerchantID] = shard
			}
			total += len(page.Events)
		}
	}
	if total != 40 {
		t.Fatalf("%d of 40 events", total)
	}
}

// Many appended at once are as many appended one by one: same content, same order.
func TestManyAtOnceKeepTheirOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var batch []event.Event
	for v := range int64(20) {
		for m := range 10 {
			e := anEvent(fmt.Sprintf("pi_%d", m), v+1)
			e.Object = map[string]any{"name": `"quoted", {braced}, 寿司`, "version": v}
			batch = append(batch, e)
		}
	}
	b.append(t)
	b.append(t, batch...)
	all := b.readAll(t, len(batch))
	checkOrder(t, all)
	for i, e := range all {
		want := batch[i]
		if e.PaymentIntentID != want.PaymentIntentID || e.Version != want.Version || e.Type != want.Type ||
			!strings.Contains(string(e.Data), fmt.Sprintf(`{"name":"\"quoted\", {braced}, 寿司","version":%d}`, want.Version-1)) {
			t.Fatalf("event %d is %+v, want %+v", i, e, want)
		}
	}
	err := postgres.InTx(t.Context(), b.db, tenant, "test.append", func(ctx context.Context, tx pgx.Tx) error {
		return event.Append(ctx, tx, anEvent("pi_x", 1), anEvent("pi_x", 0))
	})
	if !postgres.IsCheck(err, "") {
		t.Errorf("a version of nothing among others: %v", err)
	}
}

// BenchmarkAppend writes events one by one and a thousand at once; beside them the floor, the bare insert of one row.
func BenchmarkAppend(bench *testing.B) {
	db := pgwdbtest.New(bench).Pool(pgwdb.RoleBackend)
	in := func(work func(ctx context.Context, tx pgx.Tx) error) {
		if err := postgres.InTx(context.Background(), db, tenant, "test.append", work); err != nil {
			bench.Fatal(err)
		}
	}
	perEvent := func(b *testing.B, each int) {
		b.Helper()
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*each), "µs/event")
	}
	bench.Run("floor", func(b *testing.B) {
		in(func(ctx context.Context, tx pgx.Tx) error {
			for b.Loop() {
				e := anEvent("pi_a", 1)
				if _, err := tx.Exec(ctx, `INSERT INTO pgw.events (id, partner_id, mode, merchant_id, payment_intent_id, version, type, data, created_at)
					VALUES ($1, $2, $3, $4, $5, $6, $7, '{}', $8)`, id.NewULID(event.Prefix, e.At), e.PartnerID, e.Mode, e.MerchantID, e.PaymentIntentID, e.Version,
					string(e.Type), e.At); err != nil {
					return err
				}
			}
			return nil
		})
		perEvent(b, 1)
	})
	for _, many := range []int{1, 1000} {
		bench.Run(fmt.Sprint(many), func(b *testing.B) {
			in(func(ctx context.Context, tx pgx.Tx) error {
				batch := make([]event.Event, many)
				for b.Loop() {
					for i := range batch {
						batch[i] = anEvent("pi_a", 1)
					}
					if err := event.Append(ctx, tx, batch...); err != nil {
						return err
					}
				}
				return nil
			})
			perEvent(b, many)
		})
	}
}

// openFor is how long the one transaction stays open: 30s in MPAC_TEST_OPEN_TRANSACTION for the full picture.
func openFor(t *testing.T) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(cmp.Or(os.Getenv("MPAC_TEST_OPEN_TRANSACTION"), "2s"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Many writers with transactions of random length, some rolled back, and one that stays open: no hole, versions ascending,
// and what is committed is visible soon.
func TestManyWriters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const writers, intents, visible = 12, 40, 250 * time.Millisecond
	w := &writing{b: b, versions: make([]int64, intents), locks: make([]sync.Mutex, intents), committed: map[string]time.Time{}}
	seen := make(chan sighting, 1<<17)
	run(t, func(ctx context.Context) { watch(ctx, t, b.feed, seen) })

	open := openFor(t)
	held := b.hold(t, anEvent("pi_held", 1))
	var wg sync.WaitGroup
	end := time.Now().Add(open)
	for n := range writers {
		wg.Go(func() { w.write(t, rand.New(rand.NewPCG(uint64(n), 7)), end) })
	}
	wg.Wait()
	if err := held.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.append(t, anEvent("pi_held", 2))

	all := b.readAll(t, len(w.committed)+2)
	checkOrder(t, all)
	for _, e := range all {
		if _, ok := w.committed[e.ID]; !ok && e.PaymentIntentID != "pi_held" {
			t.Fatalf("%s is in the feed and was not committed", e.ID)
		}
	}
	if len(all) != len(w.committed)+2 {
		t.Fatalf("%d events for %d commits", len(all), len(w.committed)+2)
	}
	w.checkDelays(t, seen, open, visible)
}

// hold appends an event in a transaction that stays open.
func (b *bundle) hold(t *testing.T, e event.Event) pgx.Tx {
	t.Helper()
	tx, err := b.db.BeginTx(t.Context(), pgx.TxOptions{
		BeginQuery: "begin; select set_config('mpac.partner_id','" + partnerID + "',true), set_config('mpac.mode','test',true)",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	if err := event.Append(t.Context(), tx, e); err != nil {
		t.Fatal(err)
	}
	return tx
}

// writing is the writers' side of the test.
type writing struct {
	b        *bundle
	versions []int64
	locks    []sync.Mutex // stand for the intents' row locks

	mu        sync.Mutex
	committed map[string]time.Time
}

var errChangedMind = errors.New("changed its mind")

func (w *writing) write(t *testing.T, r *rand.Rand, end time.Time) {
	for time.Now().Before(end) {
		n := r.IntN(len(w.locks))
		w.locks[n].Lock()
		e := anEvent(fmt.Sprintf("pi_%d", n), w.versions[n]+1)
		e.ID = id.NewULID(event.Prefix, e.At)
		pause, rollback := r.ExpFloat64()*0.015, r.IntN(10) == 0
		err := postgres.InTx(t.Context(), w.b.db, tenant, "test.write", func(ctx context.Context, tx pgx.Tx) error {
			if err := event.Append(ctx, tx, e); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, "SELECT pg_sleep($1)", pause); err != nil {
				return err
			}
			if rollback {
				return errChangedMind
			}
			return nil
		})
		if err == nil {
			w.versions[n]++
			w.mu.Lock()
			w.committed[e.ID] = time.Now()
			w.mu.Unlock()
		} else if !errors.Is(err, errChangedMind) {
			t.Error(err)
		}
		w.locks[n].Unlock()
	}
}

type sighting struct {
	id string
	at time.Time
}

// watch tells when each event becomes visible to a reader that waits for it.
func watch(ctx context.Context, t *testing.T, feed *event.Feed, seen chan<- sighting) {
	for cursor := ""; ; {
		page, err := feed.Read(ctx, event.Query{PartnerID: partnerID, Mode: "test", After: cursor, Limit: event.MaxLimit, Wait: 10 * time.Second})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		now := time.Now()
		for _, e := range page.Events {
			seen <- sighting{e.ID, now}
		}
		cursor = page.NextCursor
	}
}

func (w *writing) checkDelays(t *testing.T, seen <-chan sighting, open, visible time.Duration) {
	t.Helper()
	var delays []time.Duration
	for range len(w.committed) + 2 {
		select {
		case s := <-seen:
			if at, ok := w.committed[s.id]; ok {
				delays = append(delays, max(0, s.at.Sub(at)))
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("the reader saw %d of %d events", len(delays), len(w.committed))
		}
	}
	slices.Sort(delays)
	p50, p99 := delays[len(delays)/2], delays[len(delays)*99/100]
	t.Logf("%d events in %s beside one open transaction: visible after p50 %s, p99 %s, at most %s", len(delays), open, p50, p99, delays[len(delays)-1])
	if p99 >= visible {
		t.Errorf("p99 from commit to visible is %s, want under %s", p99, visible)
	}
}
