package partition_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mpac-cloud/mpac/pgw/internal/event"
	"github.com/mpac-cloud/mpac/pgw/internal/ledger"
	"github.com/mpac-cloud/mpac/pgw/internal/partition"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb/pgwdbtest"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/money"
	"github.com/mpac-cloud/mpac/platform/postgres"
)

var tenant = postgres.NewScope("partner_id", "cp_test", "mode", "test")

func partitions(t *testing.T, admin *pgxpool.Pool, table string) []string {
	t.Helper()
	rows, err := admin.Query(t.Context(), `SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = ('pgw.' || $1)::regclass ORDER BY 1`, table)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func inTenant(t *testing.T, db *pgxpool.Pool, fn func(ctx context.Context, tx pgx.Tx) error) {
	t.Helper()
	if err := postgres.InTx(t.Context(), db, tenant, "test", fn); err != nil {
		t.Fatal(err)
	}
}

func TestMaintain(t *testing.T) {
	t.Parallel()
	database := pgwdbtest.New(t)
	db, admin := database.Pool(pgwdb.RoleBackend), database.AdminPool()
	start := time.Now().UTC()
	manual := clock.NewManual(start)
	keeper := partition.New(db, manual.Now, partition.Config{Ahead: 2})
	maintain := func() partition.Report {
		t.Helper()
		r, err := keeper.Maintain(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	maintain()
	if again := maintain(); again != (partition.Report{}) {
		t.Errorf("the second run at once did %+v", again)
	}
	name := func(table string, days int) string { return table + "_" + start.AddDate(0, 0, days).Format("20060102") }
	want := []string{name("events", 0), name("events", 1), name("events", 2), "events_default"}
	if diff := cmp.Diff(want, partitions(t, admin, "events")); diff != "" {
		t.Error(diff)
	}

	// Rows of a day without a partition are kept in DEFAULT, count, and move to the day's partition: the append-only ones too.
	later := start.AddDate(0, 0, 9)
	inTenant(t, db, func(ctx context.Context, tx pgx.Tx) error {
		return ledger.Post(ctx, tx, ledger.Captured(ledger.Payment{
			PartnerID: "cp_test", Mode: "test", MerchantID: "m", PaymentIntentID: "pi_x", AttemptID: "pa_x", Provider: "paypay",
			ContractID: "c", ProviderStoreID: "s", Amount: money.Amount{Minor: 5, Currency: money.JPY}, OccurredAt: later, At: later,
		}))
	})
	lines := func(from string) (n int) {
		t.Helper()
		if err := admin.QueryRow(t.Context(), "SELECT count(*) FROM pgw."+from).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if lines("ledger_lines") != 2 || lines("ledger_lines_default") != 2 {
		t.Error("a posting of a day without a partition is not in DEFAULT")
	}
	maintain()
	if lines("ledger_lines") != 2 || lines("ledger_lines_default") != 0 || lines(name("ledger_lines", 9)) != 2 {
		t.Error("the posting did not move to its day's partition")
	}
	_, err := admin.Exec(t.Context(), "DELETE FROM pgw.ledger_lines")
	if err == nil || !strings.Contains(err.Error(), "append-only") {
		t.Errorf("the guard is off after the move: %v", err)
	}

	// Retention: books and intents stay, answers and events go.
	manual.Set(start.AddDate(0, 0, 60))
	if r := maintain(); r.Dropped == 0 {
		t.Error("nothing was dropped after 60 days")
	}
	for table, keeps := range map[string]bool{"payment_intents": true, "payment_attempts": true, "ledger_lines": true, "events": false, "event_positions": false, "idempotency_keys": false, "request_signatures": false, "provider_notifications": false} {
		if got := slices.Contains(partitions(t, admin, table), name(table, 0)); got != keeps {
			t.Errorf("the first day of %s is there: %t, want %t", table, got, keeps)
		}
	}
	if lines("ledger_lines") != 2 {
		t.Error("the books lost lines")
	}
}

// A reader whose events were dropped is told so, and can go on from what is left.
func TestDroppedEventsExpireCursors(t *testing.T) {
	t.Parallel()
	database := pgwdbtest.New(t)
	db := database.Pool(pgwdb.RoleBackend)
	start := time.Now().UTC()
	manual := clock.NewManual(start)
	keeper := partition.New(db, manual.Now, partition.Config{Ahead: 1})
	sequencer, hub := event.NewSequencer(db, clock.System(0)), event.NewHub()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go sequencer.Run(ctx)
	go hub.Run(ctx, db)
	feed := event.NewFeed(db, hub)
	read := func(after string, want int) event.Page {
		t.Helper()
		page, err := feed.Read(t.Context(), event.Query{PartnerID: "cp_test", Mode: "test", After: after, Limit: want, Wait: 10 * time.Second})
		if err != nil || len(page.Events) != want {
			t.Fatalf("read after %q: %d events, %v", after, len(page.Events), err)
		}
		return page
	}
	version := int64(0)
	write := func(at time.Time) {
		version++
		inTenant(t, db, func(ctx context.Context, tx pgx.Tx) error {
			return event.Append(ctx, tx, event.Event{
				PartnerID: "cp_test", Mode: "test", MerchantID: "m", PaymentIntentID: "pi_x",
				Version: version, Type: event.IntentProcessing, Object: struct{}{}, At: at,
			})
		})
	}
	write(start)
	first := read("", 1)
	write(start)
	second := read(first.NextCursor, 1)
	manual.Set(start.AddDate(0, 0, 40))
	write(manual.Now())
	read(second.NextCursor, 1)
	if _, err := keeper.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := feed.Read(t.Context(), event.Query{PartnerID: "cp_test", Mode: "test", After: first.NextCursor, Limit: 1}); !event.CursorExpired.Is(err) {
		t.Errorf("a cursor before what was dropped: %v", err)
	}
	if page := read(second.NextCursor, 1); page.Events[0].Version != 3 {
		t.Errorf("the first event after what was dropped: %+v", page)
	}
	if page := read("", 1); page.Events[0].Version != 3 {
		t.Errorf("from the beginning of retention: %+v", page)
	}
}

// Ids of one day, and no others, are in its bounds: SQL and Go cut at the same place.
func TestBoundsAreThoseOfTheIDs(t *testing.T) {
	t.Parallel()
	admin := pgwdbtest.New(t).AdminPool()
	for _, at := range []time.Time{
		time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 22, 23, 59, 59, 999_000_000, time.UTC),
		time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2999, 12, 31, 12, 0, 0, 1_000_000, time.UTC),
	} {
		var floor, day string
		err := admin.QueryRow(t.Context(), "SELECT pgw.ulid_floor('pi', $1), pgw.ulid_day($2)::text", at, id.NewULID("pi", at)).Scan(&floor, &day)
		if err != nil {
			t.Fatal(err)
		}
		if floor != id.ULIDFloor("pi", at) || day != at.Format(time.DateOnly) {
			t.Errorf("%s: floor %s, want %s; day %s", at, floor, id.ULIDFloor("pi", at), day)
		}
	}
}

func TestOnlyWhatIsRegisteredAndMayGoIsDropped(t *testing.T) {
	t.Parallel()
	db := pgwdbtest.New(t).Pool(pgwdb.RoleBackend)
	for _, sql := range []string{
		"SELECT pgw.partition_drop('ledger_lines', current_date)", "SELECT pgw.partition_drop('merchants', current_date)",
		"SELECT pgw.partition_make('merchants', current_date)", "SELECT pgw.partition_make('no_such', current_date)",
		"DROP TABLE pgw.ledger_lines_default", "SELECT * FROM pgw.partitioned_tables",
	} {
		err := postgres.InTx(t.Context(), db, postgres.CrossTenant("pgw.partitions"), "test", func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, sql)
			return err
		})
		if err == nil {
			t.Errorf("%s is allowed", sql)
		}
	}
}
