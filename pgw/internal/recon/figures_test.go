package recon_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb/pgwdbtest"
	"github.com/mpac-cloud/mpac/pgw/internal/recon"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/postgres/pgtest"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// The severities that the metrics count by are those that Grade gives.
func TestSeveritiesOfTheMetricsAreThoseOfTheReports(t *testing.T) {
	t.Parallel()
	database := pgwdbtest.New(t)
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	open, pastDue := map[string]float64{}, map[string]float64{}
	number := 0
	for _, stake := range []int64{0, 999, 1000, 9999, 10_000, 99_999, 100_000} {
		for _, age := range []time.Duration{0, 24*time.Hour - time.Second, 24 * time.Hour, 72*time.Hour - time.Second, 72 * time.Hour, 120*time.Hour - time.Second, 120 * time.Hour, 200 * time.Hour} {
			number++
			occurred := now.Add(-age)
			severity, due := recon.Grade(stake, occurred, occurred, now)
			open[string(severity)]++
			if due.Before(now) {
				pastDue[string(severity)]++
			}
			_, err := database.AdminPool().Exec(t.Context(), `INSERT INTO pgw.recon_exceptions
				(id, partner_id, mode, provider, contract_id, item, kind, status, reason, at_stake, occurred_at, opened_day, opened_run_id, created_at, updated_at)
				VALUES ($1, 'p', 'test', 'paypay', 'c', $1, 'amount_differs', 'open', 'r', $2, $3::timestamptz, '2026-11-21', 'rr_x', $3::timestamptz, $3::timestamptz)`,
				recon.Scope{}.ExceptionID(occurred, string(rune('a'+number))), stake, occurred)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	gotOpen, gotDue := map[string]float64{}, map[string]float64{}
	read := recon.StatsOf(database.Pool(pgwdb.RoleBackend), func() time.Time { return now })
	err := read.Take(t.Context(), func(of *names.Observed, value float64, attrs ...attribute.KeyValue) {
		set := attribute.NewSet(attrs...)
		severity, _ := set.Value("severity")
		switch of {
		case names.ReconOpen:
			gotOpen[severity.AsString()] += value
		case names.ReconPastDue:
			gotDue[severity.AsString()] += value
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, severity := range names.Severity.Values {
		if gotOpen[severity] != open[severity] || gotDue[severity] != pastDue[severity] {
			t.Errorf("%s: %v open and %v past due, want %v and %v", severity, gotOpen[severity], gotDue[severity], open[severity], pastDue[severity])
		}
	}
	people := listedOpen(t, database, now)
	if len(people) != number || !slices.IsSortedFunc(people, func(a, b recon.OpenException) int { return a.Due.Compare(b.Due) }) {
		t.Errorf("people see %d of %d, or not those due first, first", len(people), number)
	}
	for _, severity := range names.Severity.Values {
		n := 0.0
		for _, x := range people {
			if string(x.Severity) == severity && x.Due.Before(now) {
				n++
			}
		}
		if n != pastDue[severity] {
			t.Errorf("%s: people see %v past due, want %v", severity, n, pastDue[severity])
		}
	}
}

// listedOpen is what a person sees.
func listedOpen(t *testing.T, db *pgtest.DB, now time.Time) (all []recon.OpenException) {
	t.Helper()
	err := postgres.InReadTx(t.Context(), db.Pool(pgwdb.RoleMatcher), postgres.CrossTenant("recon.report"), "test", func(ctx context.Context, tx pgx.Tx) (err error) {
		all, err = recon.OpenExceptions(ctx, tx, now)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
