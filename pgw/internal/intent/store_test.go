package intent

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb/pgwdbtest"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// The database holds the same table of edges as the code, whoever writes.
func TestDatabaseHoldsTheSameEdges(t *testing.T) {
	t.Parallel()
	db := pgwdbtest.New(t).AdminPool()
	ctx := context.Background()
	now := time.Now().UTC()
	for from := range Edges {
		for to := range Edges {
			if from == to {
				continue
			}
			for _, mode := range []string{PGWProcessed, Manual} {
				for _, capture := range []string{CaptureAutomatic, CaptureManual} {
					if from == RequiresCapture && capture == CaptureAutomatic {
						continue
					}
					in := Intent{ID: id.NewULID(Prefix, now), Status: from, ProcessingMode: mode, CaptureMethod: capture}
					want := in.mayMove(to)
					insertRaw(t, db.Exec, in, now)
					_, err := db.Exec(ctx, `UPDATE pgw.payment_intents SET status = $2, version = version + 1,
						finalized_at = CASE WHEN $2 IN ('succeeded', 'failed', 'cancelled') THEN now() END,
						succeeded_at = CASE WHEN $2 = 'succeeded' THEN now() END WHERE id = $1`, in.ID, string(to))
					if (err == nil) != want || (err != nil && !postgres.IsCheck(err, "payment_intents_edge")) {
						t.Errorf("%s -> %s (%s, %s): %v, want allowed %v", from, to, mode, capture, err, want)
					}
				}
			}
		}
	}
}

func insertRaw[R any](t *testing.T, exec func(context.Context, string, ...any) (R, error), in Intent, now time.Time) {
	t.Helper()
	var final, succeeded *time.Time
	if in.Status.Final() {
		final = &now
	}
	if in.Status == Succeeded {
		succeeded = &now
	}
	_, err := exec(context.Background(), `INSERT INTO pgw.payment_intents (id, partner_id, mode, merchant_id, merchant_ref_id, status, version, amount, currency,
		payment_method_types, processing_mode, capture_method, expires_at, created_at, updated_at, finalized_at, succeeded_at, due_at)
		VALUES ($1, 'cp_1', 'test', 'm', $1, $2, 1, 1200, 'JPY', '{cash}', $3, $4, $5, $5, $5, $6, $7, $5)`,
		in.ID, string(in.Status), in.ProcessingMode, in.CaptureMethod, now, final, succeeded)
	if err != nil {
		t.Fatal(err)
	}
}

func TestDatabaseRefuses(t *testing.T) {
	t.Parallel()
	db := pgwdbtest.New(t).AdminPool()
	now := time.Now().UTC()
	for name, c := range map[string]struct{ set, constraint string }{
		"another amount":            {"amount = 1", "payment_intents_immutable"},
		"another merchant":          {"merchant_id = 'x'", "payment_intents_immutable"},
		"a version that goes back":  {"version = 0", ""},
		"a state without a version": {"status = 'processing'", "payment_intents_version"},
		"a second live attempt":     {"live_attempt_id = 'pa_2'", "payment_intents_one_live_attempt"},
		"more refunded than taken":  {"refund_reserved = 1", "payment_intents_refund_within_capture"},
		"an attempt nobody watches": {"due_at = NULL", ""},
	} {
		in := Intent{ID: id.NewULID(Prefix, now), Status: RequiresPaymentMethod, ProcessingMode: PGWProcessed, CaptureMethod: CaptureAutomatic}
		insertRaw(t, db.Exec, in, now)
		if _, err := db.Exec(context.Background(), "UPDATE pgw.payment_intents SET live_attempt_id = 'pa_1' WHERE id = $1", in.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(context.Background(), "UPDATE pgw.payment_intents SET "+c.set+" WHERE id = $1", in.ID); !postgres.IsCheck(err, c.constraint) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOfTwoWritersOneWins(t *testing.T) {
	t.Parallel()
	db := pgwdbtest.New(t)
	now := time.Now().UTC()
	in := Intent{ID: id.NewULID(Prefix, now), Status: RequiresPaymentMethod, ProcessingMode: Manual, CaptureMethod: CaptureAutomatic}
	insertRaw(t, db.AdminPool().Exec, in, now)
	scope := postgres.NewScope("partner_id", "cp_1", "mode", "test")
	pool := db.Pool(pgwdb.RoleBackend)
	read := func() (got Intent) {
		err := postgres.InTx(context.Background(), pool, scope, "test", func(ctx context.Context, tx pgx.Tx) error {
			var err error
			got, err = Get(ctx, tx, in.ID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	write := func(in Intent, to Status) error {
		return postgres.InTx(context.Background(), pool, scope, "test", func(ctx context.Context, tx pgx.Tx) error {
			if err := in.moveTell(to, now); err != nil {
				return err
			}
			return Save(ctx, tx, &in)
		})
	}
	one, two := read(), read()
	if err := write(one, Cancelled); err != nil {
		t.Fatal(err)
	}
	if err := write(two, Processing); err == nil {
		t.Error("both won")
	}
	if got := read(); got.Status != Cancelled || got.Version != 2 {
		t.Errorf("%s at version %d", got.Status, got.Version)
	}
}

func TestReconciledIsToldForMany(t *testing.T) {
	t.Parallel()
	db := pgwdbtest.New(t)
	now := time.Now().UTC()
	var ids []string
	for range 3 {
		in := Intent{ID: id.NewULID(Prefix, now), Status: Succeeded, ProcessingMode: Manual, CaptureMethod: CaptureAutomatic}
		insertRaw(t, db.AdminPool().Exec, in, now)
		ids = append(ids, in.ID)
	}
	scope := postgres.NewScope("partner_id", "cp_1", "mode", "test")
	err := postgres.InTx(context.Background(), db.Pool(pgwdb.RoleBackend), scope, "test", func(ctx context.Context, tx pgx.Tx) error {
		return MarkReconciled(ctx, tx, ids, now)
	})
	if err != nil {
		t.Fatal(err)
	}
	var told int
	if err := db.AdminPool().QueryRow(context.Background(), `SELECT count(*) FROM pgw.events e JOIN pgw.payment_intents i
		ON i.id = e.payment_intent_id AND i.version = e.version WHERE e.type = 'payment_intent.reconciled' AND e.version = 2`).Scan(&told); err != nil || told != 3 {
		t.Errorf("%d told, %v", told, err)
	}
}

func TestUnscopedSeesNothing(t *testing.T) {
	t.Parallel()
	db := pgwdbtest.New(t)
	now := time.Now().UTC()
	insertRaw(t, db.AdminPool().Exec, Intent{ID: id.NewULID(Prefix, now), Status: Succeeded, ProcessingMode: Manual, CaptureMethod: CaptureAutomatic}, now)
	for _, table := range []string{"partners", "api_keys", "payment_intents", "payment_attempts", "refunds", "merchant_refs", "merchant_refund_refs", "idempotency_keys", "request_signatures"} {
		var n int
		err := db.Pool(pgwdb.RoleBackend).QueryRow(context.Background(), "SELECT count(*) FROM pgw."+table).Scan(&n)
		if err != nil || n != 0 {
			t.Errorf("%s shows %d rows, %v", table, n, err)
		}
	}
}

// What the matcher has told of is counted when it is committed, and not before.
func TestReconciledIsCountedWhenCommitted(t *testing.T) {
	t.Parallel()
	reader := metric.NewManualReader()
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))
	db := pgwdbtest.New(t)
	now := time.Now().UTC()
	in := Intent{ID: id.NewULID(Prefix, now), Status: Succeeded, ProcessingMode: Manual, CaptureMethod: CaptureAutomatic}
	insertRaw(t, db.AdminPool().Exec, in, now)
	if _, err := db.AdminPool().Exec(t.Context(), "UPDATE pgw.payment_intents SET provider = 'onlypay' WHERE id = $1", in.ID); err != nil {
		t.Fatal(err)
	}
	undone := errors.New("undone")
	for _, end := range []error{undone, nil} {
		err := postgres.InTx(t.Context(), db.Pool(pgwdb.RoleBackend), postgres.NewScope("partner_id", "cp_1", "mode", "test"), "test", func(ctx context.Context, tx pgx.Tx) error {
			return errors.Join(MarkReconciled(ctx, tx, []string{in.ID}, now), end)
		})
		if !errors.Is(err, end) {
			t.Fatal(err)
		}
		want := int64(1)
		if end != nil {
			want = 0
		}
		if got := reconciledCount(t, reader); got != want {
			t.Errorf("after %v: %d are counted", end, got)
		}
	}
}

func reconciledCount(t *testing.T, reader *metric.ManualReader) (n int64) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != names.PaymentIntents.Name {
				continue
			}
			for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints { //nolint:forcetypeassert // a counter of whole numbers
				state, _ := p.Attributes.Value("state")
				if by, _ := p.Attributes.Value("provider"); by.AsString() == "onlypay" && state.AsString() == "reconciled" {
					n += p.Value
				}
			}
		}
	}
	return n
}
