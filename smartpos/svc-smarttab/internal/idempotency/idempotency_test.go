package idempotency_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/mpacdbtest"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/idempotency"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
)

var noon = time.Date(2026, 11, 2, 3, 0, 0, 0, time.UTC)

type bundle struct {
	t     *testing.T
	db    *pgxpool.Pool
	place store.Place
}

func setup(t *testing.T) *bundle {
	t.Helper()
	return &bundle{t: t, db: mpacdbtest.New(t).Pool(mpacdb.RoleSmarttab), place: store.Place{Principal: access.Principal{
		Kind: access.KindDevice, DeviceID: uuid.New(), PSPID: uuid.New(), MerchantID: uuid.New(), StoreID: uuid.New(),
	}}}
}

func (b *bundle) request(key, body string, at time.Time) idempotency.Request {
	b.t.Helper()
	r, err := idempotency.New(b.place, idempotency.Header{Key: key}, body, at)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *bundle) in(work func(ctx context.Context, tx pgx.Tx) error) error {
	return postgres.InTx(b.t.Context(), b.db, b.place.Scope(), "test", work)
}

func (b *bundle) do(r idempotency.Request, body any, err error) (idempotency.Answer, error) {
	return idempotency.Do(b.t.Context(), b.db, b.place.Scope(), "test", r, func(context.Context, pgx.Tx) (int, any, error) {
		return 201, body, err
	})
}

func TestDo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	refusal := errors.New("refused")
	if _, err := b.do(b.request("k", "a", noon), nil, refusal); !errors.Is(err, refusal) {
		t.Fatalf("%v, want the refusal", err)
	}
	first, err := b.do(b.request("k", "a", noon), map[string]string{"a": "<&>"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.do(b.request("k", "a", noon.Add(time.Hour)), "something else", nil)
	if err != nil || again.Status != 201 || string(again.Body) != string(first.Body) {
		t.Errorf("%d %s, %v; want %s", again.Status, again.Body, err, first.Body)
	}
	if _, err := b.do(b.request("k", "b", noon), nil, nil); !idempotency.ErrReused.Is(err) {
		t.Errorf("another body: %v", err)
	}
	late, err := b.do(b.request("k", "b", noon.Add(idempotency.Retention+time.Millisecond)), "late", nil)
	if err != nil || string(late.Body) != `"late"` {
		t.Errorf("a day later: %s, %v", late.Body, err)
	}
	for range 2 {
		if a, err := b.do(b.request("", "a", noon), "no key", nil); err != nil || string(a.Body) != `"no key"` {
			t.Errorf("without a key: %s, %v", a.Body, err)
		}
	}
}

// A request that calls out in between: whoever repeats it meanwhile learns what it is about, and afterwards its answer.
func TestStartAndFinish(t *testing.T) {
	t.Parallel()
	b := setup(t)
	subject, r := uuid.New(), b.request("k", "a", noon)
	var started uuid.UUID
	must := func(work func(ctx context.Context, tx pgx.Tx) error) {
		t.Helper()
		if err := b.in(work); err != nil {
			t.Fatal(err)
		}
	}
	must(func(ctx context.Context, tx pgx.Tx) error {
		if _, found, err := idempotency.Lookup(ctx, tx, r); found || err != nil {
			t.Errorf("found %t, %v", found, err)
		}
		var err error
		started, err = idempotency.Start(ctx, tx, r, subject)
		return err
	})
	must(func(ctx context.Context, tx pgx.Tx) error {
		kept, found, err := idempotency.Lookup(ctx, tx, r)
		if !found || !kept.Running || kept.Subject != subject || kept.ID != started {
			t.Errorf("%+v, %t", kept, found)
		}
		return err
	})
	if _, err := b.do(r, nil, nil); !idempotency.ErrRunning.Is(err) {
		t.Errorf("Do of a running one: %v", err)
	}
	for _, body := range []string{"first", "second"} {
		must(func(ctx context.Context, tx pgx.Tx) error {
			_, err := idempotency.Finish(ctx, tx, started, 201, body)
			return err
		})
	}
	must(func(ctx context.Context, tx pgx.Tx) error {
		kept, found, err := idempotency.Lookup(ctx, tx, r)
		if !found || kept.Running || kept.Status != 201 || string(kept.Body) != `"first"` {
			t.Errorf("%+v, %t", kept, found)
		}
		return err
	})
}

// The second of two at once waits; when the first fails, it does the work.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var mu sync.Mutex
	running, most, done := 0, 0, 0
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			_, err := idempotency.Do(t.Context(), b.db, b.place.Scope(), "test", b.request("k", "a", noon), func(context.Context, pgx.Tx) (int, any, error) {
				mu.Lock()
				running++
				most = max(most, running)
				mu.Unlock()
				defer func() {
					mu.Lock()
					running--
					mu.Unlock()
				}()
				if i%2 == 0 {
					return 0, nil, context.DeadlineExceeded
				}
				mu.Lock()
				done++
				mu.Unlock()
				return 201, "done", nil
			})
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most != 1 || done != 1 {
		t.Errorf("%d at once, done %d times", most, done)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	b := &bundle{t: t}
	for key, good := range map[string]bool{"k": true, strings.Repeat("k", 255): true, strings.Repeat("k", 256): false, "a b": false, "a\n": false, "\u00e9": false} {
		if _, err := idempotency.New(b.place, idempotency.Header{Key: key}, nil, noon); good != (err == nil) || (err != nil && !idempotency.ErrBadKey.Is(err)) {
			t.Errorf("%q: %v", key, err)
		}
	}
	if err := (&idempotency.Header{}).Must(); !idempotency.ErrRequired.Is(err) {
		t.Errorf("no key: %v", err)
	}
}
