package partition_test

import (
	"context"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/mpacdbtest"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/partition"
)

var noon = time.Date(2026, 11, 2, 3, 0, 0, 0, time.UTC)

type bundle struct {
	t      *testing.T
	db     *pgxpool.Pool // as the service
	admin  *pgxpool.Pool
	clock  *clock.Manual
	keeper *partition.Keeper
}

func setup(t *testing.T) *bundle {
	t.Helper()
	server := mpacdbtest.New(t)
	b := &bundle{t: t, db: server.Pool(mpacdb.RoleSmarttab), admin: server.AdminPool(), clock: clock.NewManual(noon)}
	b.keeper = partition.New(b.db, b.clock.Now)
	return b
}

func (b *bundle) keep() partition.Report {
	b.t.Helper()
	report, err := b.keeper.Keep(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return report
}

func (b *bundle) names(query string, args ...any) []string {
	b.t.Helper()
	rows, err := b.admin.Query(b.t.Context(), query, args...)
	if err != nil {
		b.t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.t.Fatal(err)
	}
	return names
}

// strays is the figure as the service tells it.
func (b *bundle) strays() (told float64) {
	b.t.Helper()
	err := b.keeper.Figures().Take(b.t.Context(), func(_ *names.Observed, value float64, _ ...attribute.KeyValue) { told += value })
	if err != nil {
		b.t.Fatal(err)
	}
	return told
}

func (b *bundle) partitions(table string) []string {
	b.t.Helper()
	return b.names(`SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = ('smarttab.' || $1)::regclass ORDER BY 1`, table)
}

// answer keeps an answer of the instant, and says which partition it went to.
func (b *bundle) answer(at time.Time) string {
	b.t.Helper()
	merchant, store := uuid.NewString(), uuid.NewString()
	key := id.NewUUID(at)
	scope := postgres.NewScope("merchant_id", merchant, "store_id", store)
	err := postgres.InTx(b.t.Context(), b.db, scope, "test", func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO smarttab.idempotency (id, merchant_id, store_id, caller, key, fingerprint, status, body, created_at)
			VALUES ($1, $2, $3, 'device:x', 'k', decode(repeat('00', 32), 'hex'), 200, '', $4)`, key, merchant, store, at)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.names("SELECT tableoid::regclass::text FROM smarttab.idempotency WHERE id = $1", key)[0]
}

func TestKeep(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tables := b.names("SELECT table_name FROM smarttab.partitioned_tables()")
	if got, want := b.keep().Made, len(tables)*(partition.Ahead+1); got != want {
		t.Errorf("%d partitions made, want %d", got, want)
	}
	if again := b.keep(); again != (partition.Report{}) {
		t.Errorf("the second time: %+v", again)
	}
	for _, table := range tables {
		got := b.partitions(table)
		if len(got) != partition.Ahead+2 || got[0] != table+"_20261102" || got[len(got)-1] != table+"_default" {
			t.Errorf("%s has %v", table, got)
		}
	}
	for at, want := range map[time.Time]string{
		noon: "smarttab.idempotency_20261102",
		time.Date(2026, 11, 2, 23, 59, 59, 999e6, time.UTC): "smarttab.idempotency_20261102",
		time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC):        "smarttab.idempotency_20261103",
		noon.AddDate(0, 0, -1):                              "smarttab.idempotency_default",
	} {
		if got := b.answer(at); got != want {
			t.Errorf("a row of %s is in %s, want %s", at, got, want)
		}
	}
}

// Every task of the service keeps the partitions, and at a start all of them at once.
func TestManyTasksAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const tasks = 8
	for range 5 { // days
		reports := make(chan partition.Report, tasks)
		var running sync.WaitGroup
		for range tasks {
			running.Go(func() {
				report, err := partition.New(b.db, b.clock.Now).Keep(b.t.Context())
				if err != nil {
					t.Error(err)
				}
				reports <- report
			})
		}
		running.Wait()
		close(reports)
		var sum partition.Report
		for r := range reports {
			sum.Made, sum.Dropped, sum.Stray = sum.Made+r.Made, sum.Dropped+r.Dropped, sum.Stray+r.Stray
		}
		if sum.Made == 0 || sum.Stray != 0 {
			t.Errorf("all together: %+v", sum)
		}
		b.clock.Advance(48 * time.Hour)
	}
	if again := b.keep(); again.Made == 0 {
		t.Error("nothing was left to do: the days did not advance")
	}
}

func TestRetention(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.keep()
	b.clock.Advance(3 * 24 * time.Hour)
	report := b.keep()
	if report.Dropped != 1 {
		t.Errorf("%+v: want one day of answers dropped", report)
	}
	if got := b.partitions("idempotency"); slices.Contains(got, "idempotency_20261102") || !slices.Contains(got, "idempotency_20261103") {
		t.Errorf("answers are kept as %v", got)
	}
	if got := b.partitions("orders"); !slices.Contains(got, "orders_20261102") {
		t.Errorf("orders are kept as %v", got)
	}
}

// Rows that come before their partition stay where they are, and so does their day.
func TestStray(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if got := b.answer(noon); got != "smarttab.idempotency_default" {
		t.Fatalf("without partitions a row is in %s", got)
	}
	if report := b.keep(); report.Stray != 1 {
		t.Errorf("%+v, want one stray day", report)
	}
	if got := b.partitions("idempotency"); slices.Contains(got, "idempotency_20261102") {
		t.Errorf("the stray's day was made: %v", got)
	}
	if got := b.answer(noon.Add(time.Hour)); got != "smarttab.idempotency_default" {
		t.Errorf("the next row of the day is in %s", got)
	}
	if got := b.strays(); got != 2 {
		t.Errorf("%g strays are told of, there are 2", got)
	}
}

// The service's role can do nothing but what the upkeep is for.
func TestRights(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.keep()
	for _, sql := range []string{
		"DROP TABLE smarttab.orders_20261102",
		"SELECT count(*) FROM smarttab.orders_20261102",
		"SELECT smarttab.partition_default('orders')",
		"SELECT smarttab.partition_drop('orders', '2026-11-02', '2036-11-02')",
		"SELECT smarttab.partition_drop('idempotency', '2026-11-02', '2026-11-03')",
		"SELECT smarttab.partition_make('pg_class', '2026-11-02')",
		"DELETE FROM smarttab.orders",
		"DELETE FROM smarttab.bill_history",
		"UPDATE smarttab.bill_history SET action = 'x'",
	} {
		if _, err := b.db.Exec(t.Context(), sql); err == nil {
			t.Errorf("%s is allowed", sql)
		}
	}
}

// What the role sees without a scope: nothing, in any table of either schema.
func TestUnscopedSeesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.keep()
	b.answer(noon)
	tables := b.names(`SELECT c.oid::regclass::text FROM pg_class c
		WHERE c.relnamespace IN ('smarttab'::regnamespace, 'portal'::regnamespace) AND c.relkind IN ('r', 'p')
		  AND has_table_privilege('svc_smarttab', c.oid, 'SELECT')`)
	if len(tables) < 15 {
		t.Fatalf("only %v", tables)
	}
	for _, table := range tables {
		var n int
		if err := b.db.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d rows, %v", table, n, err)
		}
	}
	unguarded := b.names(`SELECT c.oid::regclass::text FROM pg_class c
		WHERE c.relnamespace = 'smarttab'::regnamespace AND c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)`)
	if len(unguarded) > 0 {
		t.Errorf("without row-level security: %s", strings.Join(unguarded, ", "))
	}
}

// The floors in SQL and in Go are the same.
func TestFloor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, day := range []string{"1970-01-01", "2026-11-02", "2099-12-31"} {
		at, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		if got := b.names("SELECT smarttab.uuid_floor($1::text::date)::text", day)[0]; got != id.UUIDFloor(at).String() {
			t.Errorf("%s: %s in SQL, %s in Go", day, got, id.UUIDFloor(at))
		}
	}
}

// In the cloud the owner of the database is no superuser, and is held by row-level security like everybody: it can migrate and
// make partitions all the same.
func TestPlainOwner(t *testing.T) {
	t.Parallel()
	server := mpacdbtest.New(t)
	admin := server.AdminPool()
	owner := "owner_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	for _, sql := range []string{
		"CREATE ROLE " + owner + " LOGIN PASSWORD 'test' CREATEROLE NOSUPERUSER NOBYPASSRLS",
		"CREATE DATABASE " + owner + " OWNER " + owner,
	} {
		if _, err := admin.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		ctx := context.Background()
		_, _ = admin.Exec(ctx, "DROP DATABASE "+owner+" WITH (FORCE)")
		_, _ = admin.Exec(ctx, "DROP ROLE "+owner)
	})
	at, err := url.Parse(server.URL(owner))
	if err != nil {
		t.Fatal(err)
	}
	at.Path = "/" + owner
	if err := mpacdb.Migration().Migrate(t.Context(), at.String(), io.Discard); err != nil {
		t.Fatal(err)
	}
	if report, err := partition.KeepAt(t.Context(), at.String(), func() time.Time { return noon }); err != nil || report.Made == 0 {
		t.Errorf("%+v, %v", report, err)
	}
}
